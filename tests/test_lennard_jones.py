"""Lennard-Jones atoms: against LAMMPS (as stored), plain loops and conservation laws."""

import functools
import math
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import macrokit as mk
from macrokit._storage import load_arrays
from macrokit.systems import LennardJones, _lennard_jones

# Made by LAMMPS: tools/make_lennard_jones_reference.py.
REFERENCE = load_arrays(Path(__file__).parent / "data" / "lennard-jones-reference.npz")


def liquid(atoms: int = 200, seed: int = 0) -> tuple[float, np.ndarray]:
    """The side of a box, and atoms on a shaken lattice in it at the density 0.8; some of them have
    left it, through any of its sides."""
    rng = np.random.default_rng(seed)
    box = (atoms / 0.8) ** (1 / 3)
    side = math.ceil(atoms ** (1 / 3))
    lattice = np.stack(np.meshgrid(*3 * [np.arange(side)]), axis=-1).reshape(-1, 3)[:atoms]
    r = lattice * box / side + rng.normal(scale=0.07, size=(atoms, 3))
    r += box * rng.integers(-2, 3, size=(atoms, 3))
    return box, np.concatenate([r, rng.normal(size=(atoms, 3))], axis=1)


def distances(r: np.ndarray, box: float) -> np.ndarray:
    d = r[:, None] - r[None]
    d -= box * np.round(d / box)
    return np.linalg.norm(d, axis=-1)


# --- against LAMMPS ------------------------------------------------------------------------------


def test_forces_are_those_of_lammps(double) -> None:
    system, x = LennardJones(), jnp.asarray(REFERENCE["x"])
    expected = np.concatenate([REFERENCE["x"][:, 3:], REFERENCE["force"]], axis=1)
    size = np.abs(REFERENCE["force"]).max()
    full = jax.jit(lambda x: system.force(x))(x)
    np.testing.assert_allclose(full, expected, rtol=0, atol=1e-10 * size)
    sites = np.random.default_rng(0).choice(800, 50, replace=False)
    for neighbours in (None, system.neighbours(x)):
        some = system.force_at(x, jnp.asarray(sites), neighbours=neighbours)
        np.testing.assert_allclose(some, expected[sites], rtol=0, atol=1e-10 * size)
    energy = system.potential_energy(x) / 800
    np.testing.assert_allclose(energy, REFERENCE["potential_energy_per_atom"], rtol=1e-12)


def test_a_trajectory_is_that_of_lammps(double) -> None:
    system, start = LennardJones(), jnp.asarray(REFERENCE["x"])[None]
    run = mk.simulate(system, start, duration=0.25, step=1e-3, method="velocity-verlet")
    assert run.forces == 251 * 800  # one at the start
    energies = jax.lax.map(lambda x: system.energy(x), run.x[0]) / 800
    np.testing.assert_allclose(energies, REFERENCE["energy_per_atom"], rtol=0, atol=1e-9)
    # What the truncation does: far above rounding, the same in both codes.
    assert 5e-4 < np.ptp(REFERENCE["energy_per_atom"]) < 5e-3
    temperatures = jax.vmap(system.observable)(run.x[0])[:, 0]
    np.testing.assert_allclose(temperatures, REFERENCE["temperature"], rtol=1e-9)
    # Stored in single precision.
    np.testing.assert_allclose(run.x[0, -1, :, :3], REFERENCE["final_positions"], atol=1e-6)


def test_in_single_precision_the_temperature_holds() -> None:
    system, start = LennardJones(), jnp.asarray(REFERENCE["x"], jnp.float32)[None]
    run = mk.simulate(system, start, duration=0.25, step=1e-3, method="velocity-verlet")
    temperatures = jax.vmap(system.observable)(run.x[0])[:, 0]
    np.testing.assert_allclose(temperatures, REFERENCE["temperature"], rtol=5e-6)


# --- forces --------------------------------------------------------------------------------------


def test_the_energy_is_the_sum_over_pairs(double) -> None:
    box, x = liquid()
    r = distances(x[:, :3], box)[np.triu_indices(200, 1)]
    pairs = 4 * (r**-12.0 - r**-6.0)[r < 2.5]
    system = LennardJones(200, box)
    np.testing.assert_allclose(system.potential_energy(jnp.asarray(x)), pairs.sum(), rtol=1e-12)


@pytest.mark.parametrize("smooth", [False, True])
def test_the_force_is_minus_the_gradient_of_the_energy(smooth: bool, double) -> None:
    box, x = liquid()
    system, x = LennardJones(200, box, smooth=smooth), jnp.asarray(x)
    gradient = jax.grad(lambda r: system.energy(x.at[:, :3].set(r)))(x[:, :3])
    force = system.force(x)[:, 3:]
    np.testing.assert_allclose(force, -gradient, rtol=0, atol=1e-11 * np.abs(gradient).max())
    np.testing.assert_allclose(force.sum(axis=0), 0, atol=1e-10)  # no net force


def test_the_smooth_force_ends_smoothly(double) -> None:
    """Two atoms: plain up to 0.8 r_c, then on to zero with two continuous derivatives of φ."""
    plain, smooth = LennardJones(2, 10.0), LennardJones(2, 10.0, smooth=True)

    def pull(system: LennardJones, r: np.ndarray) -> np.ndarray:
        x = jnp.zeros((len(r), 2, 6)).at[:, 1, 0].set(r)
        return np.asarray(jax.vmap(system.force)(x))[:, 0, 3]

    near, end = np.linspace(0.9, 1.999, 20), 2.5 - np.array([4e-3, 2e-3, 1e-3])
    np.testing.assert_allclose(pull(smooth, near), pull(plain, near), rtol=1e-13)
    ratios = pull(smooth, end)[:-1] / pull(smooth, end)[1:]
    np.testing.assert_allclose(ratios, 4, rtol=0.02)  # φ' falls as the square of what is left
    assert abs(pull(plain, end)[-1]) > 0.03
    np.testing.assert_array_equal(pull(smooth, np.array([2.5, 3.0])), 0)


@pytest.mark.parametrize("atoms", [150, 2400])
def test_every_way_to_a_force_gives_the_same(atoms: int, monkeypatch, double) -> None:
    box, x = liquid(atoms)
    system, x = LennardJones(atoms, box), jnp.asarray(x)
    sites = jnp.asarray([3, 77, 3, 149, 0])
    from_rows = system.force_at(x, sites)
    neighbours = eqx.filter_jit(system.neighbours)(x)
    from_list = system.force_at(x, sites, neighbours=neighbours)
    everywhere = system.force_at(x, jnp.arange(atoms), neighbours=neighbours)
    monkeypatch.setattr(_lennard_jones, "_ROWS", 0)
    from_own_list = system.force_at(x, sites)
    monkeypatch.setattr(_lennard_jones, "_BLOCK", 5 * 7)  # in many blocks, the last not full
    in_blocks = [system.force_at(x, sites, neighbours=given) for given in (None, neighbours)]
    size = float(jnp.abs(from_rows).max())
    for other in (from_list, everywhere[sites], from_own_list, *in_blocks):
        np.testing.assert_allclose(other, from_rows, rtol=0, atol=1e-13 * size)


def flops(call, *arguments) -> float:
    return jax.jit(call).lower(*arguments).compile().cost_analysis()["flops"]


def test_partial_forces_are_partial() -> None:
    """With a list in hand the cost knows the sites and nothing of the box; from bare positions it
    is one row of distances for each site. (All in one block, because XLA counts a loop once.)"""

    def with_list(system, x, sites, neighbours):
        return system.force_at(x, sites, neighbours=neighbours)

    by_list, by_row = [], []  # operations for each pair of a site and an atom that is looked at
    for atoms in (256, 512, 1024):
        box, x = liquid(atoms)
        system, x = LennardJones(atoms, box), jnp.asarray(x)
        for count in (8, 16, 32):
            sites = jnp.arange(count)
            listed = flops(functools.partial(with_list, system), x, sites, system.neighbours(x))
            by_list.append(listed / (count * system.room))
            by_row.append(flops(system.force_at, x, sites) / (count * atoms))
    np.testing.assert_allclose(by_list, by_list[0], rtol=0.05)
    # XLA counts two of the distances' steps once or twice.
    assert 30 < min(by_row) <= max(by_row) < 60
    assert 30 < min(by_list) <= max(by_list) < 80


# --- neighbour lists -----------------------------------------------------------------------------


@pytest.mark.parametrize("atoms", [150, 2400])
def test_a_list_names_every_atom_within_reach(atoms: int) -> None:
    """From all pairs in a small box, from cells in a large one."""
    box, x = liquid(atoms)
    system = LennardJones(atoms, box)
    assert (system._cells >= 4) == (atoms == 2400)
    listed = np.asarray(system.neighbours(jnp.asarray(x)).atoms).T
    near = distances(x[:, :3], box) < system.reach
    for atom, row in enumerate(listed):
        found = row[row != atom]
        assert len(set(found)) == len(found)
        np.testing.assert_array_equal(
            np.sort(found), np.setdiff1d(np.flatnonzero(near[atom]), atom)
        )


def test_a_list_is_outdated_when_an_atom_has_moved_half_the_skin() -> None:
    box, x = liquid()
    system, x = LennardJones(200, box, skin=0.3), jnp.asarray(x)
    neighbours = system.neighbours(x)
    assert not system.outdated(neighbours, x.at[5, 1].add(0.149))
    assert system.outdated(neighbours, x.at[5, 1].add(0.151))


def test_without_skin_the_list_is_made_in_every_step(double) -> None:
    """And the run is the same: lists made now and then miss nothing."""
    box, x = liquid()
    runs = [
        mk.simulate(
            LennardJones(200, box, skin=skin),
            jnp.asarray(x)[None],
            duration=0.1,
            step=2e-3,
            method="velocity-verlet",
        ).x[0, -1]
        for skin in (0.0, 0.3)
    ]
    np.testing.assert_allclose(runs[0], runs[1], rtol=0, atol=1e-9)
    assert np.abs(np.asarray(runs[0])[:, :3] - x[:, :3]).max() > 0.3  # beyond the skin


@pytest.mark.parametrize(
    ("atoms", "message"),
    [(150, "An atom has more than .* others within 2.8"), (2400, "A cell of LennardJones holds")],
)
def test_atoms_that_crowd_are_refused(atoms: int, message: str) -> None:
    box, x = liquid(atoms)
    crowded = jnp.asarray(x).at[:, :3].multiply(0.0).at[:, 0].set(np.linspace(0, 1, atoms))
    system = LennardJones(atoms, box)
    assert system.room < 150
    with pytest.raises(RuntimeError, match=message + ".*relax the state, or take smaller steps"):
        jax.block_until_ready(eqx.filter_jit(system.neighbours)(crowded).atoms)


# --- dynamics ------------------------------------------------------------------------------------


def test_the_smooth_energy_is_conserved_to_order_two(double) -> None:
    system, start = LennardJones(smooth=True), jnp.asarray(REFERENCE["x"])[None]
    off = []
    for step in (4e-3, 2e-3, 1e-3):
        every = round(0.02 / step)
        run = mk.simulate(
            system, start, duration=1, step=step, every=every, method="velocity-verlet"
        )
        energies = np.asarray(jax.lax.map(lambda x: system.energy(x), run.x[0])) / 800
        off.append(np.abs(energies - energies[0]).max())
    assert off[-1] < 2e-5  # 1000 steps
    np.testing.assert_allclose(np.array(off[:-1]) / np.array(off[1:]), 4, rtol=0.25)


def test_momentum_is_conserved() -> None:
    system, start = LennardJones(), jnp.asarray(REFERENCE["x"], jnp.float32)[None]
    run = mk.simulate(system, start, duration=0.1, step=1e-3, every=100, method="velocity-verlet")
    np.testing.assert_allclose(run.x[0, :, :, 3:].sum(axis=1), 0, atol=2e-3)


# --- starts --------------------------------------------------------------------------------------


def test_a_placement_is_relaxed() -> None:
    system = LennardJones()
    r = eqx.filter_jit(lambda key: system.placement(key=key))(jax.random.key(0))
    still = jnp.concatenate([r, jnp.zeros_like(r)], axis=1)
    assert -6.5 < float(system.potential_energy(still)) / 800 < -6.0
    apart = distances(np.asarray(r), 10.0) + 10 * np.eye(800)
    assert 0.98 < apart.min() < 1.12


def test_atoms_upon_each_other_are_taken_apart() -> None:
    """At a distance of 0.01 the force has no square in single precision, at 1e-4 it is infinite."""
    system = LennardJones(200, 6.3)
    r = jax.random.uniform(jax.random.key(0), (200, 3), maxval=6.3)
    r = r.at[1].set(r[0] + 1e-2).at[3].set(r[2] + 1e-4)
    relaxed = eqx.filter_jit(system.relaxed)(r)
    assert 0.9 < distances(np.asarray(relaxed), 6.3)[np.triu_indices(200, 1)].min() < 1.12


def test_velocities_have_temperature_one_and_no_momentum() -> None:
    system = LennardJones()
    v = system.velocities(key=jax.random.key(0))
    np.testing.assert_allclose(v.sum(axis=0), 0, atol=1e-3)
    r = jnp.zeros((800, 3))
    for temperature in (1, 0.5):
        x = system.start(r, v, temperature)
        np.testing.assert_allclose(system.observable(x), temperature, rtol=1e-5)
    assert abs(float((v**4).mean()) / 3 - 1) < 0.1  # Gaussian


def test_random_starts_have_nothing_in_common() -> None:
    system = LennardJones(100, 5.0)
    draw = eqx.filter_jit(jax.vmap(lambda key: system.random_start(key=key)))
    x = np.asarray(draw(jax.random.split(jax.random.key(0), 6)))
    temperatures = np.array([system.observable(jnp.asarray(one))[0] for one in x])
    assert ((temperatures > 0.5) & (temperatures < 1.5)).all()
    assert np.ptp(temperatures) > 0.2
    directions = [one[:, 3:] / np.linalg.norm(one[:, 3:]) for one in x[:2]]
    assert abs((directions[0] * directions[1]).sum()) < 0.2
    assert np.abs(x[0, :, :3] - x[1, :, :3]).max() > 1


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"atoms": 1}, "at least 2 atoms in a box of positive side, but got atoms=1, box=10"),
        ({"box": 4.0}, "between 0 and half the box, 2, .* but got 2.5. Take a larger box"),
        ({"skin": -0.1}, "The skin cannot be negative, but got -0.1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LennardJones(**settings)


def test_velocity_verlet_needs_positions_and_velocities() -> None:
    system = mk.systems.PredatorPrey(nodes=6)
    with pytest.raises(ValueError, match=r"PredatorPrey has 0 free channels of 1. Take \"rk4\""):
        mk.simulate(system, jnp.ones((1, 12, 1)), duration=1, step=0.1, method="velocity-verlet")
