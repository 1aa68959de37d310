"""Released networks: read without PyTorch, nothing executed, and judged as macrokit's own are."""

import collections
import io
import os
import pickle
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import benchmark

import macrokit as mk
from macrokit.__main__ import main
from macrokit._rollout import rollout_errors
from macrokit.experiments import PUBLISHED, _released, read_torch

_STEPS = np.array([1, 2, 3, 4], np.float32)
NUMBERS = {
    "Z_mean": 0.1 * _STEPS,
    "Z_std": 0.3 * _STEPS,
    "target_mean": 1e-3 * _STEPS,
    "target_std": 2e-3 * _STEPS,
}


class Storage:
    """What a tensor of the file points to."""

    def __init__(self, array: np.ndarray):
        self.array = np.ascontiguousarray(array)


class Writer(pickle.Pickler):
    """`torch.save` in small: the pickle, and each storage beside it."""

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream, protocol=2)
        self.storages: list[Storage] = []

    def persistent_id(self, thing: object) -> tuple | None:
        if not isinstance(thing, Storage):
            return None
        self.storages.append(thing)
        kind = getattr(
            sys.modules["torch"], {"f": "FloatStorage", "i": "LongStorage"}[thing.array.dtype.kind]
        )
        return "storage", kind, str(len(self.storages) - 1), "cuda:0", thing.array.size

    def reducer_override(self, thing: object):
        """Arrays as tensors are."""
        if not isinstance(thing, np.ndarray):
            return NotImplemented
        strides = tuple(s // thing.itemsize for s in np.ascontiguousarray(thing).strides)
        utils = sys.modules["torch._utils"]
        return utils._rebuild_tensor_v2, (Storage(thing), 0, thing.shape, strides, False, None)


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Modules by the names that are in such files, with no PyTorch behind them. To be undone when
    the files are written: others look whether there is a PyTorch."""
    with monkeypatch.context() as patch:
        pretend(patch)
        yield patch


def pretend(patch: pytest.MonkeyPatch) -> None:
    names = {
        "torch": ("FloatStorage", "LongStorage"),
        **dict.fromkeys(("torch._utils", "torch.nn", "torch.nn.modules", "utils"), ()),
        "torch.nn.modules.linear": ("Linear",),
        "torch.nn.modules.container": ("Sequential",),
        "torch.nn.modules.activation": ("Tanh",),
        "utils.utils": ("G", "Autoencoder"),
    }
    for name, classes in names.items():
        module = types.ModuleType(name)
        for one in classes:
            setattr(module, one, type(one, (), {"__module__": name}))
        patch.setitem(sys.modules, name, module)

    def _rebuild_tensor_v2(*_) -> None: ...

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    sys.modules["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2


def write(path: Path, thing: object) -> Path:
    stream = io.BytesIO()
    writer = Writer(stream)
    writer.dump(thing)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("final/data.pkl", stream.getvalue())
        for number, storage in enumerate(writer.storages):
            file.writestr(f"final/data/{number}", storage.array.tobytes())
    return path


def module(kind: str, parameters: dict | None = None, modules: dict | None = None) -> object:
    place = (
        "utils.utils"
        if kind in ("G", "Autoencoder")
        else {
            "Linear": "torch.nn.modules.linear",
            "Sequential": "torch.nn.modules.container",
            "Tanh": "torch.nn.modules.activation",
        }[kind]
    )
    made = getattr(sys.modules[place], kind)()
    made.__dict__ |= {
        "training": True,
        "_parameters": collections.OrderedDict(parameters or {}),
        "_buffers": collections.OrderedDict(),
        "_non_persistent_buffers_set": set(),
        "_modules": collections.OrderedDict(modules or {}),
    }
    return made


def layers(net: eqx.nn.MLP, between: bool = True) -> dict[str, object]:
    """The layers of a network, with activations in between where the file has them."""
    found: list[object] = []
    for layer in net.layers:
        parts = {"weight": np.asarray(layer.weight), "bias": np.asarray(layer.bias)}
        found += [module("Linear", parts), module("Tanh")] if between else [module("Linear", parts)]
    return {str(n): one for n, one in enumerate(found[: -1 if between else None])}


def released(net: mk.macro.OnsagerNet) -> object:
    parts = {
        "potential_net": module("Sequential", modules=layers(net.potential_net)),
        "gamma_layers": module("Linear", {"weight": np.asarray(net.gamma), "bias": None}),
        "MW_net": module("Sequential", modules=layers(net.matrix_net)),
    }
    return module("G", modules=parts)


@pytest.fixture
def checkout(torch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, mk.Closure, list]:
    """A folder as the released code's, with other networks in it: the closure, and the models of
    one entry."""
    data, key = benchmark(), jax.random.key(5)
    closure = mk.nonlinear_closure(
        data.system.observable, data.training.x[0], 2, 32, standardise=False, key=key
    )
    encoder = closure.encoder
    first = {"weight": np.asarray(encoder.weight), "bias": np.asarray(encoder.bias)}
    rest = layers(encoder.head.net, between=False)
    nets = {"0": module("Linear", first), **{str(int(n) + 1): one for n, one in rest.items()}}
    place = tmp_path / _released._CLOSURE
    autoencoder = {"encoder_net": module("Sequential", modules=nets)}
    write(place / "final.pt", module("Autoencoder", modules=autoencoder))
    write(place / "params.pt", {name: np.array([row]) for name, row in NUMBERS.items()})
    models = []
    for seed in (1, 2, 3):
        net = mk.macro.OnsagerNet(4, key=jax.random.key(seed))
        models.append(net)
        folder = _released._PARTIAL.format(snapshots=3_000, seed=seed, drawn=20)
        write(tmp_path / folder / "convergence_final.pt", released(net))
    torch.undo()
    return tmp_path, closure, models


def test_a_closure_is_what_it_was(checkout) -> None:
    folder, closure, _ = checkout
    found, scaling = mk.experiments.released_closure(folder)
    x = benchmark().training.x[3, 5]
    np.testing.assert_array_equal(found.encode(x), closure.encode(x))
    parts = (scaling.centre, scaling.spread, scaling.mean_rate, scaling.rate)
    for part, expected in zip(parts, NUMBERS.values(), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_a_model_is_what_it_was(checkout) -> None:
    folder, _, models = checkout
    _, scaling = mk.experiments.released_closure(folder)
    path = folder / _released._PARTIAL.format(snapshots=3_000, seed=2, drawn=20)
    found = mk.experiments.released_model(path / "convergence_final.pt", scaling)
    z = jnp.array([0.3, -0.1, 0.2, 0.7])
    expected = scaling.rate * models[1]((z - scaling.centre) / scaling.spread) + scaling.mean_rate
    np.testing.assert_allclose(found(z), expected, rtol=1e-6)


def test_an_entry_of_the_table(checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three networks on the test runs; which folder an entry has is the released code's way."""
    folder, closure, models = checkout
    monkeypatch.setattr(_released, "predator_prey", lambda trajectories: benchmark())
    entry = {"predator-prey": {"L_{x,1/5}": {60_000: (4.00e-3, 1.5e-3)}}}
    monkeypatch.setattr(_released, "PUBLISHED", entry)
    monkeypatch.setenv(_released.VARIABLE, str(folder))
    (row,) = mk.experiments.released_errors()
    test = mk.TestSet(closure, benchmark().test)
    _, scaling = mk.experiments.released_closure(folder)
    for error, net in zip(row["errors"], models, strict=True):
        alone, _ = rollout_errors(mk.MacroModel(net, scaling), test)
        assert 0 < error == pytest.approx(float(alone.mean()), rel=1e-4)
    assert (row["loss"], row["forces"], row["published"]) == ("L_{x,1/5}", 60_000, 4.00e-3)
    assert "L_{x,1/5}     60,000   4.00e-03" in mk.experiments.released_table([row])


def test_the_folders_of_an_entry() -> None:
    place = "Predator_Prey/checkpoints_100_l"
    assert _released._places("L_z", 60_000)[0] == f"{place}z_saved/G_N_100_n_600_seed_1"
    assert _released._places("L_x", 150_000)[2] == f"{place}x_saved/G_N_100_n_1500_seed_3_d_100"
    assert _released._places("L_{x,3/4}", 2_400_000)[0].endswith("_n_32000_seed_1_d_75")
    assert _released._places("L_{x,1/4}", 300_000)[1].endswith("_n_12000_seed_2_d_25")


def test_without_the_released_code(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys) -> None:
    for named in (None, str(tmp_path)):
        monkeypatch.delenv(_released.VARIABLE, raising=False)
        if named:
            monkeypatch.setenv(_released.VARIABLE, named)
        assert main(["released"]) == 2
        assert "MACROKIT_RELEASED must name a checkout of https" in capsys.readouterr().err


def test_a_file_that_wants_to_call_something_is_not_read(torch, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'called'}",)

    path = write(tmp_path / "evil.pt", {"weight": Evil()})
    with pytest.raises(ValueError, match=r"wants to call (posix|nt)\.system, which is neither a"):
        read_torch(path)
    assert not (tmp_path / "called").exists()


def test_a_tensor_stays_in_its_storage(torch, tmp_path: Path) -> None:
    class Beyond:
        def __reduce__(self):
            rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
            return rebuild, (Storage(np.zeros(4, np.float32)), 0, (5,), (1,), False, None)

    with pytest.raises(ValueError, match="a tensor reaches beyond its storage"):
        read_torch(write(tmp_path / "beyond.pt", Beyond()))


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.pt is not a whole file of torch\.save"):
        read_torch(path)


def test_other_shapes(torch, tmp_path: Path) -> None:
    small = released(mk.macro.OnsagerNet(4, 16, key=jax.random.key(0)))
    path = write(tmp_path / "small.pt", small)
    torch.undo()
    scaling = mk.macro.Affine(*(jnp.ones(4),) * 4)
    with pytest.raises(ValueError, match=r"Expected layers of \[\(32, 4\), .* has \[\(16, 4\)"):
        mk.experiments.released_model(path, scaling)


@pytest.mark.skipif(
    _released.VARIABLE not in os.environ,
    reason=f"{_released.VARIABLE} names no checkout of the released code",
)
def test_the_published_table() -> None:
    """The released networks, on test runs drawn anew from the same distribution."""
    rows = mk.experiments.released_errors()
    assert len(rows) == 36
    for row in rows:
        assert np.mean(row["errors"]) == pytest.approx(row["published"], rel=0.25)
    ratios = [np.mean(row["errors"]) / row["published"] for row in rows]
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
    assert {row["loss"] for row in rows} == set(PUBLISHED["predator-prey"])
