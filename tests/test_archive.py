"""Trajectories on disk: what is read is what was simulated, whatever interrupts or damages it."""

import errno
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import macrokit as mk
from macrokit import _archive
from macrokit.systems import AllenCahn

SYSTEM = AllenCahn(16)
STARTS = jax.vmap(lambda k: SYSTEM.random_start(key=k))(jax.random.split(jax.random.key(0), 6))
SETTINGS = {"duration": 0.08, "step": 0.002, "every": 2, "method": "strang-4"}


def extinct(x: jax.Array) -> jax.Array:
    return SYSTEM.observable(x)[0] < 1e-3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trajectories in memory, four frames in a chunk."""
    monkeypatch.setattr(_archive, "cores", lambda: 2)
    monkeypatch.setattr(_archive, "_GROUP", 0)
    monkeypatch.setattr(_archive, "_CHUNK", 4 * 256)


def stored(folder: Path) -> mk.StoredTrajectories:
    return mk.simulate_to(folder, SYSTEM, STARTS, until=extinct, progress=False, **SETTINGS)


def content(folder: Path) -> dict[str, bytes]:
    """All that is in it, but for the seconds it took."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    about = json.loads(files["trajectories.json"])
    assert about.pop("seconds") > 0
    return files | {"trajectories.json": json.dumps(about).encode()}


def test_what_is_read_is_what_was_simulated(tmp_path: Path) -> None:
    ours, theirs = stored(tmp_path), mk.simulate(SYSTEM, STARTS, until=extinct, **SETTINGS)
    np.testing.assert_array_equal(ours.lengths, theirs.lengths)
    assert len(set(theirs.lengths.tolist())) > 1  # some are gone before others
    assert (len(ours), ours.forces) == (len(theirs), theirs.forces)
    np.testing.assert_array_equal(ours.times, theirs.times)
    run, time = np.array([4, 0, 4, 2, 0]), np.array([3, 0, 1, 2, 4])
    np.testing.assert_allclose(ours.take(run, time), theirs.take(run, time), atol=1e-6)
    for k in range(6):
        np.testing.assert_allclose(ours.frames(k), theirs.frames(k), atol=1e-6)
    spread = [mk.spread(runs, 20, key=jax.random.key(1)) for runs in (ours, theirs)]
    np.testing.assert_allclose(*spread, atol=1e-6)


def test_a_test_set_from_disk_is_the_one_from_memory(tmp_path: Path) -> None:
    ours, theirs = stored(tmp_path), mk.simulate(SYSTEM, STARTS, until=extinct, **SETTINGS)
    x = mk.spread(theirs, 30, key=jax.random.key(1))
    closure = mk.linear_closure(SYSTEM.observable, x, 2, key=jax.random.key(2))
    one, other = mk.TestSet(closure, ours), mk.TestSet(closure, theirs)
    np.testing.assert_allclose(one.start, other.start, rtol=1e-5, atol=1e-5)
    for k, length in enumerate(theirs.lengths):
        np.testing.assert_allclose(
            one.observables[k, :length], other.observables[k, :length], rtol=1e-5, atol=1e-5
        )


def killed_in(patch: pytest.MonkeyPatch, *, group: int) -> list[int]:
    """Interrupt the simulation of that group, once; returns the list of all calls."""
    real, calls = _archive.simulate, []

    def simulate(*arguments, **settings):
        calls.append(1)
        if len(calls) == group:
            raise KeyboardInterrupt
        return real(*arguments, **settings)

    patch.setattr(_archive, "simulate", simulate)
    return calls


def test_a_killed_simulation_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch) -> None:
    whole = content(stored(tmp_path / "whole").folder)
    with monkeypatch.context() as patch:
        calls = killed_in(patch, group=3)
        with pytest.raises(KeyboardInterrupt):
            stored(tmp_path / "part")
        with pytest.raises(ValueError, match=r"holds no complete trajectories\. Make them with"):
            mk.StoredTrajectories(tmp_path / "part")
        stored(tmp_path / "part")
    assert len(calls) == 4  # two groups, the one that was killed, and that one again
    assert content(tmp_path / "part") == whole
    with monkeypatch.context() as patch:
        patch.setattr(_archive, "simulate", None)  # nothing is simulated again
        stored(tmp_path / "part")


@pytest.mark.parametrize("cores", [1, 3, 6])
def test_a_simulation_may_go_on_with_another_number_of_cores(
    tmp_path: Path, monkeypatch, cores: int
) -> None:
    whole = stored(tmp_path / "whole")
    with monkeypatch.context() as patch:
        killed_in(patch, group=2)
        with pytest.raises(KeyboardInterrupt):
            stored(tmp_path / "part")
    monkeypatch.setattr(_archive, "cores", lambda: cores)
    part = stored(tmp_path / "part")
    np.testing.assert_array_equal(part.lengths, whole.lengths)
    assert part.forces == whole.forces
    for run in range(len(STARTS)):
        np.testing.assert_allclose(part.frames(run), whole.frames(run), atol=1e-6)


def test_another_simulation_is_refused(tmp_path: Path) -> None:
    stored(tmp_path / "here")
    with pytest.raises(ValueError, match=r"holds another simulation: it differs in step\. Choose"):
        mk.simulate_to(tmp_path / "here", SYSTEM, STARTS, **SETTINGS | {"step": 0.001})
    with pytest.raises(ValueError, match=r"it differs in starts"):
        mk.simulate_to(tmp_path / "here", AllenCahn(16, epsilon=0.2), STARTS, **SETTINGS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other files\. Choose a new folder"):
        stored(tmp_path / "other")


def test_a_note_half_written_is_not_another_file(tmp_path: Path) -> None:
    """By another process, at the same, or by one that was killed over it."""
    (tmp_path / ".settings.json.7-7.part").write_text("{")
    assert len(stored(tmp_path)) == len(STARTS)


def test_a_folder_that_another_process_claims_meanwhile_is_shared(tmp_path: Path) -> None:
    """It claims and fills it after this one saw no note, and before it sees what else is there."""
    look = Path.glob

    def late(folder: Path, pattern: str):
        patch.undo()
        stored(tmp_path)
        return look(folder, pattern)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "glob", late)
        runs = stored(tmp_path)
    assert len(runs) == len(STARTS)


def test_a_damaged_chunk_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    runs = stored(tmp_path)
    chunk = next(p for p in (tmp_path / "x" / "c" / "3").rglob("*") if p.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"Trajectory 3 in .* is damaged .*Delete the folder and"):
        runs.frames(3)
    runs.frames(2)  # the others are as they were


def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    def full(x, first, runs):
        if first:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(x, first, runs)

    real = _archive._write
    with monkeypatch.context() as patch:
        patch.setattr(_archive, "_write", full)
        with pytest.raises(ValueError, match=r"is full\. .* complete stay: make room"):
            stored(tmp_path)
    assert len(json.loads((tmp_path / "so-far.json").read_text())["lengths"]) == 2
    np.testing.assert_array_equal(
        stored(tmp_path).lengths, mk.simulate(SYSTEM, STARTS, until=extinct, **SETTINGS).lengths
    )


def test_frames_that_do_not_count_take_no_room(tmp_path: Path) -> None:
    runs = stored(tmp_path)
    for run, length in enumerate(runs.lengths):
        chunks = [p for p in (tmp_path / "x" / "c" / str(run)).rglob("*") if p.is_file()]
        assert len(chunks) == -(-length // 4)
    assert jnp.isfinite(runs.frames(0)).all()
