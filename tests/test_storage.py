"""Files: bit-equal round trips, clear words about damaged ones, and never half a file."""

import functools
import io
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_optimiser import assert_same

import macrokit as mk
from macrokit import _storage

KEY = jax.random.key(3)


class Parts(eqx.Module):
    """One of everything that a training state holds."""

    weight: jax.Array
    count: jax.Array
    flag: jax.Array
    keys: jax.Array
    empty: jax.Array
    rate: float = 0.1
    name: str = "adam"


def parts(seed: int = 0, **changes) -> Parts:
    rng = np.random.default_rng(seed)
    arrays = {
        "weight": jnp.asarray(rng.normal(size=(3, 4)), jnp.float32).at[0, 0].set(jnp.nan),
        "count": jnp.asarray(seed, jnp.int32),
        "flag": jnp.asarray([True, False, seed > 0]),
        "keys": jax.random.split(jax.random.key(seed), 2),
        "empty": jnp.zeros((0, 2)),
    }
    return Parts(**(arrays | changes))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.mk"
    mk.save(path, parts(), {"width": 32, "note": "größer"})
    return path


def litter(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".part")]


# --- round trips ---------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(file: Path) -> None:
    loaded = mk.load(file, like=parts(seed=1))
    assert_same(loaded, parts())
    assert loaded.keys.dtype == parts().keys.dtype
    np.testing.assert_array_equal(
        jax.random.normal(loaded.keys[1]), jax.random.normal(parts().keys[1])
    )
    assert mk.hyperparameters(file) == {"width": 32, "note": "größer"}


def test_keys_of_another_kind(tmp_path: Path) -> None:
    keys = jax.random.split(jax.random.key(1, impl="rbg"), 2)
    mk.save(tmp_path / "model.mk", parts(keys=keys))
    loaded = mk.load(tmp_path / "model.mk", like=parts(keys=keys[::-1]))
    np.testing.assert_array_equal(jax.random.key_data(loaded.keys), jax.random.key_data(keys))


def test_float64(tmp_path: Path, double) -> None:
    weight = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)))
    mk.save(tmp_path / "model.mk", parts(weight=weight))
    loaded = mk.load(tmp_path / "model.mk", like=parts(weight=jnp.zeros((3, 4))))
    assert loaded.weight.dtype == jnp.float64
    np.testing.assert_array_equal(loaded.weight, weight)


def test_a_file_is_its_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        mk.save(tmp_path / name, parts(), {"width": 3})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_folders_are_made(tmp_path: Path) -> None:
    mk.save(tmp_path / "deep" / "er" / "model.mk", parts())
    assert_same(mk.load(tmp_path / "deep" / "er" / "model.mk", like=parts(1)), parts())


def test_named_arrays(tmp_path: Path) -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3), "sites": np.array([1, 255], np.uint8)}
    mk.save_arrays(tmp_path / "data.npz", **arrays)
    loaded = mk.load_arrays(tmp_path / "data.npz")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


# --- files that do not fit -----------------------------------------------------------------------


def refused(path: Path, message: str, like=None) -> None:
    with pytest.raises(ValueError, match=message):
        mk.load(path, like=parts() if like is None else like)


def test_another_type(file: Path) -> None:
    message = r"holds a Parts, but `like` is a Cosine\. Pass a Parts .*\{'width': 32, "
    refused(file, message, like=mk.Cosine(1.0, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weight": jnp.zeros((3, 5))},
            r"does not fit .* \['float32', \[3, 4\]\] in the file, \['float32', \[3, 5\]\]",
        ),
        ({"count": jnp.zeros(())}, r"\['int32', \[\]\] in the file, \['float32', \[\]\] in `like`"),
        ({"empty": None}, r"\.mk does not fit `like`: .* Build `like` with the hyper-parameters"),
        ({"rate": 0.2}, r"does not fit .* first difference: 0\.1 in the file, 0\.2 in `like`"),
        ({"name": "sgd"}, r"does not fit .* first difference: adam in the file, sgd in `like`"),
        ({"name": None}, r"does not fit .*: 7 parts in the file, 6 in `like`"),
    ],
)
def test_other_sizes_and_settings(file: Path, changes: dict, message: str) -> None:
    refused(file, message, like=parts(**changes))


def test_a_newer_version(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_storage, "_VERSION", 3)
    mk.save(file, parts())
    monkeypatch.undo()
    refused(file, r"has format version 3; this macrokit reads up to 2\. Update macrokit\.")


def test_another_activation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no array, and another model all the same."""
    path = tmp_path / "field.mk"
    relu = mk.macro.MLP(3, 8, activation=jax.nn.relu, key=KEY)
    mk.save(path, relu)
    assert_same(mk.load(path, like=relu), relu)
    refused(path, "relu in the file, tanh in `like`", like=mk.macro.MLP(3, 8, key=KEY))
    # A file of version 1 does not say: it is read as it always was.
    monkeypatch.setattr(_storage, "_VERSION", 1)
    monkeypatch.setattr(_storage, "_settings", functools.partial(_storage._settings, named=False))
    mk.save(path, relu)
    monkeypatch.undo()
    assert_same(mk.load(path, like=relu), relu)


# --- files that are damaged or foreign -----------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"PK\x03\x04 a zip file",
        b"[1, 2]\nabc",
        b'{"format": "other"}\n',
        b"\xff\xfe\x00",
    ],
)
def test_a_foreign_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foreign").write_bytes(content)
    refused(tmp_path / "foreign", r"foreign is not a macrokit file\. Pass a file written by `macro")


def test_a_truncated_file(file: Path) -> None:
    content = file.read_bytes()
    header = content.index(b"\n")
    for length in (len(content) - 1, len(content) // 2, header + 1):
        file.write_bytes(content[:length])
        refused(
            file, r"is damaged: its content does not match its checksum\. Use an earlier copy\."
        )
    file.write_bytes(content[: header // 2])
    refused(file, "is not a macrokit file")


def test_no_flipped_byte_goes_unnoticed(file: Path) -> None:
    content = file.read_bytes()
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        file.write_bytes(damaged)
        refused(file, "damaged|not a macrokit file|format version")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mk.load(tmp_path / "nowhere", like=parts())


def test_damaged_arrays(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    mk.save_arrays(path, x=np.random.default_rng(0).normal(size=50))
    content, message = (
        path.read_bytes(),
        r"data\.npz is not a readable \.npz file \(.*Save it again",
    )
    for damaged in (b"", b"hello", content[:-1], content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=message):
            mk.load_arrays(path)
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    path.write_bytes(single.getvalue())
    with pytest.raises(ValueError, match=message):
        mk.load_arrays(path)


class Bomb:
    """Unpickling it would leave a trace."""

    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_loading_executes_nothing(tmp_path: Path, file: Path) -> None:
    bomb = pickle.dumps(Bomb())
    pickle.loads(bomb)
    assert Bomb.exploded, "the bomb works"
    Bomb.exploded = False

    (tmp_path / "bomb").write_bytes(bomb)
    refused(tmp_path / "bomb", "not a macrokit file")
    with pytest.raises(ValueError, match=r"not a readable \.npz file"):
        mk.load_arrays(tmp_path / "bomb")

    body = io.BytesIO()  # a well-formed file whose arrays are pickled objects
    np.save(body, np.array([Bomb()] * 5, object), allow_pickle=True)
    header = json.loads(file.read_bytes().partition(b"\n")[0])
    del header["sha256"]
    header["sha256"] = _storage._checksum(header, body.getvalue())
    file.write_bytes(json.dumps(header).encode() + b"\n" + body.getvalue())
    refused(file, "allow_pickle=False")
    assert not Bomb.exploded


# --- never half a file ---------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_previous_file(
    file: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(OSError, match="No space left"):
            mk.save(file, parts(seed=1))
    assert file.read_bytes() == before
    assert litter(file.parent) == []


def test_a_kill_while_writing_leaves_the_previous_file(file: Path) -> None:
    """SIGKILL after half of a later version is on disk."""
    program = f"""
import os, signal
from macrokit import _storage
whole = os.fsync
def fsync(descriptor):
    os.ftruncate(descriptor, 1000)
    whole(descriptor)
    os.kill(os.getpid(), signal.SIGKILL)
os.fsync = fsync
_storage.write_whole({str(file)!r}, b"x" * 2000)
"""
    before = file.read_bytes()
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert file.read_bytes() == before
    assert_same(mk.load(file, like=parts(1)), parts())
    (left,) = litter(file.parent)
    mk.save(file, parts(seed=2))
    assert litter(file.parent) == [left]  # it might be another's work in progress
    os.utime(file.parent / left, (0, 0))
    mk.save(file, parts(seed=2))
    assert litter(file.parent) == []
    assert_same(mk.load(file, like=parts(1)), parts(seed=2))


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [bytes([i]) * 300_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda i: _storage.write_whole(path, contents[i % 8]), range(200)):
            assert path.read_bytes() in contents
    assert litter(tmp_path) == []


def test_saving_is_not_confused_by_similar_names(tmp_path: Path) -> None:
    for name in itertools.product(("a", "a.b"), ("", ".mk")):
        mk.save(tmp_path / "".join(name), parts())
    assert sorted(os.listdir(tmp_path)) == ["a", "a.b", "a.b.mk", "a.mk"]
