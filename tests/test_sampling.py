"""Choosing snapshots and sites, buying forces, and what is said about bad data."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import DESIGNS, EQUAL, SYSTEMS, Ring, host_system, states

import macrokit as mk
from macrokit._sampling import spread_indices

KEY = jax.random.key(0)
RING = Ring()

# --- sample --------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_forces_are_bought_on_the_drawn_sites(system: str, design: str) -> None:
    system = SYSTEMS[system]()
    x = states(system, 9)
    bought = mk.sample(system, x, fraction=0.3, design=DESIGNS[design](), key=KEY)
    everywhere = np.stack([np.asarray(system.force(a)) for a in x])
    np.testing.assert_array_equal(bought.x, x)
    drawn = round(0.3 * system.num_sites)
    assert bought.sites.shape == (9, drawn)
    assert bought.fraction == pytest.approx(drawn / system.num_sites)
    expected = np.take_along_axis(everywhere, np.asarray(bought.sites)[..., None], axis=1)
    np.testing.assert_allclose(bought.force, expected, rtol=1e-5, atol=1e-6)
    if design in EQUAL:
        np.testing.assert_allclose(bought.weights, system.num_sites / drawn)


def test_partial_forces_never_ask_for_all_of_them() -> None:
    class Dear(Ring):
        def force(self, x: jax.Array) -> jax.Array:
            raise AssertionError("all forces were computed")

    x = states(RING, 3)
    bought = mk.sample(Dear(), x, fraction=0.5, key=KEY)
    np.testing.assert_allclose(bought.force, mk.sample(RING, x, fraction=0.5, key=KEY).force)


def test_snapshots_draw_their_sites_independently() -> None:
    sites = np.asarray(mk.sample(RING, states(RING, 200), fraction=0.25, key=KEY).sites)
    assert len(np.unique(np.sort(sites, axis=1), axis=0)) > 100
    again = mk.sample(RING, states(RING, 200), fraction=0.25, key=KEY)
    np.testing.assert_array_equal(again.sites, sites)


def test_a_fraction_of_one_is_every_site_in_order() -> None:
    bought = mk.sample(RING, states(RING, 3), key=KEY)
    np.testing.assert_array_equal(bought.sites, np.tile(np.arange(12), (3, 1)))
    np.testing.assert_array_equal(bought.weights, 1)
    assert bought.forces == 36


def test_a_tiny_fraction_is_one_site() -> None:
    assert mk.sample(RING, states(RING, 3), fraction=1e-6, key=KEY).sites.shape == (3, 1)


def test_by_default_one_site_of_each_block_of_like_states() -> None:
    x = states(RING, 200)
    bought = mk.sample(RING, x, fraction=0.5, key=KEY)
    same = mk.sample(RING, x, fraction=0.5, design=mk.designs.Stratified("state"), key=KEY)
    np.testing.assert_array_equal(bought.sites, same.sites)
    everything = mk.sample(RING, x, key=KEY)
    np.testing.assert_array_equal(everything.sites, np.broadcast_to(np.arange(12), (200, 12)))


def test_designs_that_repeat_sites_do_so_even_when_all_are_asked_for() -> None:
    design = mk.designs.WithReplacement()
    bought = mk.sample(RING, states(RING, 50), design=design, key=KEY)
    assert bought.distinct.max() < 12
    whole = mk.sample(RING, states(RING, 50), design=mk.designs.Systematic(), key=KEY)
    assert (whole.distinct == 12).all()
    np.testing.assert_allclose(whole.weights, 1)


def test_the_cost_is_the_number_of_distinct_forces() -> None:
    x = states(RING, 2000)
    without = mk.sample(RING, x, fraction=0.5, key=KEY)
    assert without.forces == 2000 * 6
    design = mk.designs.WithReplacement()
    bought = mk.sample(RING, x, fraction=0.5, design=design, key=KEY)
    assert bought.forces == sum(len(set(row.tolist())) for row in np.asarray(bought.sites))
    expected = 12 * (1 - (1 - 1 / 12) ** 6)
    z = (bought.distinct.mean() - expected) / (bought.distinct.std() / np.sqrt(2000))
    assert abs(z) < 4
    assert bought[:7].forces == int(bought.distinct[:7].sum())


def test_numpy_and_host_give_what_jax_gives() -> None:
    system = SYSTEMS["predator-prey"]()
    x, blind = states(system, 5), mk.designs.WithoutReplacement()  # the host knows no species
    from_jax = mk.sample(system, x, fraction=0.5, design=blind, key=KEY)
    for owner, array in ((system, np.asarray(x)), (host_system(), np.asarray(x))):
        other = mk.sample(owner, array, fraction=0.5, design=blind, key=KEY)
        np.testing.assert_array_equal(other.sites, from_jax.sites)
        np.testing.assert_allclose(other.force, from_jax.force, rtol=1e-4, atol=1e-6)


# --- Snapshots -----------------------------------------------------------------------------------


def own_data(**changes) -> mk.Snapshots:
    rng = np.random.default_rng(0)
    data = {
        "x": rng.normal(size=(4, 12, 2)),
        "sites": np.array([[0, 5, 11]] * 4),
        "force": rng.normal(size=(4, 3, 2)),
    }
    return mk.Snapshots(**(data | changes))


def test_own_data_in_numpy() -> None:
    data = own_data()
    assert (len(data), data.forces, data.fraction) == (4, 12, 0.25)
    np.testing.assert_allclose(data.weights, 4)
    assert len(data[1:3]) == 2
    assert own_data(sites=np.array([[0, 5, 11]] * 4, np.uint8)).sites.dtype == jnp.int32


def test_integer_states_keep_real_forces() -> None:
    spins = np.random.default_rng(0).choice([-1, 1], (4, 12, 2))
    force = np.full((4, 3, 2), 0.25)
    data = own_data(x=spins, force=force)
    np.testing.assert_array_equal(data.force, force)
    assert jnp.issubdtype(data.x.dtype, jnp.floating)


def test_repeated_sites_need_weights() -> None:
    sites = np.array([[0, 5, 11], [3, 4, 3], [1, 1, 1], [0, 1, 2]])
    with pytest.raises(ValueError, match=r"Snapshot 1 names a site twice.* pass the `weights`"):
        own_data(sites=sites)
    assert own_data(sites=sites, weights=np.full((4, 3), 4.0)).forces == 3 + 2 + 1 + 3


NAN_STATE = np.zeros((4, 12, 2))
NAN_STATE[2, 7, 1] = np.nan
INFINITE_FORCE = np.zeros((4, 3, 2))
INFINITE_FORCE[3, 1, 0] = np.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"x": np.zeros((4, 12))},
            r"\(snapshots, sites, channels\), but got \(4, 12\).*x\[\.\.\., N",
        ),
        ({"x": np.zeros((0, 12, 2))}, r"no snapshots: x has shape \(0, 12, 2\)"),
        ({"sites": np.zeros((3, 3), int)}, r"\(snapshots, drawn\) = \(4, …\), but got \(3, 3\)"),
        ({"sites": np.zeros(4, int)}, r"= \(4, …\), but got \(4,\)"),
        ({"sites": np.zeros((4, 0), int)}, r"= \(4, …\), but got \(4, 0\)"),
        ({"sites": np.zeros((4, 3))}, "sites must be integers, but got float64"),
        ({"sites": np.array([[0, 5, 12]] * 4)}, r"in 0 … 11, but snapshot 0 asks for site 12\."),
        ({"sites": np.array([[0, 5, -1]] * 4)}, r"in 0 … 11, but snapshot 0 asks for site -1\."),
        ({"force": np.zeros((4, 3, 1))}, r"channels\) = \(4, 3, 2\), but got \(4, 3, 1\)"),
        ({"force": np.zeros((4, 3))}, r"channels\) = \(4, 3, 2\), but got \(4, 3\)"),
        ({"weights": np.ones((4, 2))}, r"shape \(4, 3\), but got shape \(4, 2\)"),
        ({"weights": np.zeros((4, 3))}, r"positive, .* minimum 0\. They are 1/π"),
        ({"x": NAN_STATE}, r"state of snapshot 2 is not finite at site 7 \(channel 1\): nan\. R"),
        (
            {"force": INFINITE_FORCE},
            r"force of snapshot 3 is not finite at site 5 \(channel 0\): inf",
        ),
    ],
)
def test_bad_data(changes: dict, message: str, as_user) -> None:
    with pytest.raises(ValueError, match=message):
        own_data(**changes)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.0001, 20, float("nan")])
def test_a_fraction_is_a_share(fraction: float) -> None:
    message = rf"fraction must lie in \(0, 1\], but got {fraction}\. .* 0\.2 for a fifth, 1 for all"
    with pytest.raises(ValueError, match=message):
        mk.sample(RING, states(RING, 2), fraction=fraction, key=KEY)


@pytest.mark.parametrize("shape", [(12, 2), (3, 11, 2), (3, 12, 1)])
def test_states_of_another_system(shape: tuple[int, ...], as_user) -> None:
    message = f"States of Ring have shape (snapshots, 12, 2), but got {shape}."
    with pytest.raises(ValueError, match=re.escape(message)):
        mk.sample(RING, jnp.zeros(shape), key=KEY)


def test_a_force_that_is_not_finite_names_its_snapshot_and_site() -> None:
    def compute(x: np.ndarray, sites: np.ndarray) -> np.ndarray:
        return np.where(sites == 7, np.log(x[0, 0]), 1.0)[:, None]

    system = mk.systems.HostSystem(compute, lambda x: x.mean(axis=0), 12)
    x = np.ones((3, 12, 1))
    x[1, 0] = 0
    with (
        np.errstate(divide="ignore"),
        pytest.raises(
            ValueError, match=r"force of snapshot 1 is not finite at site 7 \(channel 0\): -inf"
        ),
    ):
        mk.sample(system, x, key=KEY)


# --- spread --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("runs", "times"), [(7, 11), (1, 30), (40, 2), (50, 301)])
def test_spread_snapshots_are_distinct_and_grow(runs: int, times: int) -> None:
    total = runs * times
    whole = np.stack(spread_indices(np.full(runs, times), total, key=KEY), axis=1)
    assert len(np.unique(whole, axis=0)) == len(whole) == total
    assert whole.min() == 0
    assert tuple(whole.max(axis=0)) == (runs - 1, times - 1)
    for count in {1, 2, 5, total // 3, total // 2, total - 1}:
        part = np.stack(spread_indices(np.full(runs, times), count, key=KEY), axis=1)
        np.testing.assert_array_equal(part, whole[:count])


def crowding(run: np.ndarray, time: np.ndarray, runs: int, times: int) -> float:
    """Variance of the number of snapshots per box of 8 × 8 boxes, in units of a random choice's."""
    counts, _, _ = np.histogram2d(run, time, bins=8, range=[[0, runs], [0, times]])
    return counts.var() / counts.mean()


@pytest.mark.parametrize("count", [192, 640, 1280])
def test_spread_is_more_even_than_random(count: int) -> None:
    runs, times = 64, 320
    rng = np.random.default_rng(0)
    even, random = [], []
    for seed in range(8):
        chosen = spread_indices(np.full(runs, times), count, key=jax.random.key(seed))
        even.append(crowding(*chosen, runs, times))
        flat = rng.choice(runs * times, count, replace=False)
        random.append(crowding(flat // times, flat % times, runs, times))
    assert 0.7 < np.mean(random) < 1.2  # the yardstick itself
    assert max(even) < 0.35
    assert min(even) > 0  # but not a lattice that would meet the same phases again and again


def test_another_key_spreads_otherwise() -> None:
    one = spread_indices(np.full(20, 30), 50, key=jax.random.key(1))
    other = spread_indices(np.full(20, 30), 50, key=jax.random.key(2))
    assert (np.stack(one) != np.stack(other)).any()


def trajectories(runs: int, times: int) -> mk.Trajectories:
    x = np.zeros((runs, times, 12, 2), np.float32)
    x += np.arange(runs * times).reshape(runs, times, 1, 1)
    return mk.Trajectories(jnp.arange(times, dtype=float), jnp.asarray(x), 0)


def test_spread_takes_the_states_it_names() -> None:
    runs = trajectories(6, 9)
    chosen = np.asarray(mk.spread(runs, 20, key=KEY))[:, 0, 0]
    run, time = spread_indices(np.full(6, 9), 20, key=KEY)
    np.testing.assert_array_equal(chosen, 9 * run + time)


@pytest.mark.parametrize("count", [0, -3, 55])
def test_spread_cannot_choose_more_than_there_is(count: int) -> None:
    message = (
        rf"Asked for {count} distinct snapshots of 6 trajectories with 54 frames\. "
        "Simulate more trajectories or buy fewer forces"
    )
    with pytest.raises(ValueError, match=message):
        mk.spread(trajectories(6, 9), count, key=KEY)


def test_snapshots_are_a_pytree() -> None:
    data = own_data()
    np.testing.assert_array_equal(eqx.filter_jit(lambda d: d.force * 2)(data), data.force * 2)


def test_runs_of_unequal_length_are_spread_within_each() -> None:
    lengths = np.array([3, 40, 7])
    run, time = spread_indices(lengths, 30, key=KEY)
    assert (time < lengths[run]).all()
    assert len({*zip(run.tolist(), time.tolist(), strict=True)}) == 30
    # A run has as many as its share of the runs, as far as it goes.
    assert np.bincount(run)[0] == 3
    everything = spread_indices(lengths, 50, key=KEY)
    assert sorted(zip(*map(np.ndarray.tolist, everything), strict=True)) == [
        (r, t) for r, length in enumerate(lengths) for t in range(length)
    ]


def test_a_key_for_each_state_draws_what_one_for_all_does() -> None:
    system = mk.systems.PredatorPrey(nodes=6)
    x = states(system, 5)
    whole = mk.sample(system, x, fraction=0.5, key=KEY)
    keys = jax.random.split(KEY, 5)
    part = mk.sample(system, x[2:4], fraction=0.5, key=keys[2:4])
    np.testing.assert_array_equal(part.sites, whole.sites[2:4])
