"""Data of the experiments: what is kept on disk is what fits in memory."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import macrokit as mk
from macrokit.experiments import EXPERIMENTS, Cell, _data, data_folder, run_cell
from macrokit.experiments._cells import labelled

CELL = Cell(
    "difference",
    0.125,
    20 * 256,
    steps=40,
    seeds=(0, 1),
    design="stratified",
    model="mlp",
    scaling="affine",
    batch=32,
    metric="rate",
    width=8,
    noise=0.02,
    restoring=100.0,
)


def allen_cahn() -> mk.experiments.Benchmark:
    return mk.experiments.allen_cahn(6, 2, grid=16, closure="principal-6")


def test_the_data_are_those_of_the_released_code() -> None:
    settings = mk.experiments.allen_cahn_settings(mk.systems.AllenCahn())
    step = 0.1 / 200**2
    assert settings["step"] * settings["every"] == pytest.approx(100 * step)
    assert settings["step"] == pytest.approx(25 * step)
    full = EXPERIMENTS["allen-cahn", "fair", "full"]
    assert (full.data, full.trajectories, full.test_trajectories) == ({"grid": 200}, 400, 50)
    assert [len(cell.seeds) for cell in full.cells] == [8, 8, 8, 4, 4]
    for cell in full.cells:
        assert cell.snapshots(40_000) == (1_600 if cell.estimator == "exact" else 40_000)
        assert (cell.batch, cell.width, cell.steps) == (512, 64, full.cells[0].steps)


def test_runs_end_where_nothing_is_left() -> None:
    data = allen_cahn()
    for runs in (data.training, data.validation, data.test):
        energy = np.asarray(jax.lax.map(jax.vmap(data.system.observable), runs.x))[..., 0]
        for one, length in zip(energy, runs.lengths, strict=True):
            assert (one[:length] >= 1e-4).all()
            assert length == len(one) or one[length] < 1e-4
    assert min(runs.lengths) < 341
    starts = [np.asarray(runs.x)[:, 0] for runs in (data.training, data.validation, data.test)]
    assert len(np.unique(np.concatenate(starts).reshape(10, -1), axis=0)) == 10


@pytest.mark.slow
def test_from_disk_as_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = allen_cahn()
    monkeypatch.setattr(_data, "_IN_MEMORY", 0)
    monkeypatch.setenv("MACROKIT_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    disk = allen_cahn()
    assert isinstance(disk.training, mk.StoredTrajectories)
    assert {p.name for p in (tmp_path / "allen-cahn-16").iterdir()} == {
        "training-6-0", "validation-2-0", "test-2-0",
    }  # fmt: skip
    assert disk.training.forces == memory.training.forces
    for (ours, paid), (theirs, price) in zip(
        labelled(disk, CELL, [0, 1]), labelled(memory, CELL, [0, 1]), strict=True
    ):
        assert paid == price == CELL.forces
        np.testing.assert_allclose(ours.z[:, 0], theirs.z[:, 0], rtol=1e-4, atol=1e-3)
    run = run_cell(disk, CELL)
    assert run["forces_training"] == CELL.forces
    assert 0 < run["lift_defect"] < 1
    again = json.loads(json.dumps(run))
    assert (again["noise"], again["restoring"]) == (0.02, 100)


# --- Lennard-Jones -------------------------------------------------------------------------------


def velocities(x: np.ndarray) -> np.ndarray:
    """Of the starts, of length one."""
    v = np.asarray(x)[:, 0, :, 3:].reshape(len(x), -1)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("start", "atoms", "family"),
    [("paper", 800, True), ("family", 200, True), ("fresh", 200, False)],
)
def test_atoms_have_one_start_or_many(start: str, atoms: int, family: bool) -> None:
    data = mk.experiments.lennard_jones(3, 1, atoms=atoms, start=start, closure="principal-7")
    assert data.system.density == pytest.approx(0.8)
    assert data.training.x.shape == (3, 251, atoms, 6)
    assert data.training.forces == 3 * 251 * atoms
    temperatures = [float(data.system.observable(x)[0]) for x in data.training.x[:, 0]]
    assert all(0.5 < T < 1.5 for T in temperatures)
    assert np.ptp(temperatures) > 0.05
    v = velocities(data.training.x)
    np.testing.assert_allclose(v @ v.T > 0.999, np.ones((3, 3)) if family else np.eye(3))
    same = np.ptp(np.asarray(data.training.x[:, 0, :, :3]), axis=0).max() == 0
    assert same == family
    # Nothing in common between training and test runs but the family.
    assert not set(temperatures) & {float(data.system.observable(data.test.x[0, 0])[0])}


def test_the_papers_start_heats_up() -> None:
    """From T = 1.0 to 1.35, in 250 steps."""
    system = mk.systems.LennardJones()
    r, v = mk.experiments.lennard_jones_start()
    start = system.start(r, v, 1.0)[None]
    run = mk.simulate(system, start, duration=0.25, step=1e-3, every=250, method="velocity-verlet")
    first, last = (float(system.observable(x)[0]) for x in run.x[0])
    assert first == pytest.approx(1, rel=1e-5)
    assert last == pytest.approx(1.3532, abs=2e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"atoms": 200}, r'one of 800 atoms, but got 200\. Take `start="family"`'),
        ({"start": "gas"}, 'start must be "paper", "family" or "fresh", but got \'gas\''),
    ],
)
def test_starts_that_there_are_not(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mk.experiments.lennard_jones(2, 1, **settings)
