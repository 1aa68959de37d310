"""Every system: partial forces are the full ones, and partial. Predator–prey: its physics."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import SYSTEMS, predator_prey_in_numpy, states

import macrokit as mk
from macrokit.systems import AllenCahn, HostSystem, PredatorPrey

# --- every system --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize(
    "sites", [[3], [0, 11, 5, 6], [2, 2, 7, 2], list(range(12)), list(range(11, -1, -1))], ids=str
)
def test_force_at_some_sites_is_the_force_there(name: str, sites: list[int], double) -> None:
    system = SYSTEMS[name]()
    x = states(system, 1)[0]
    some = system.force_at(x, jnp.asarray(sites), neighbours=system.neighbours(x))
    np.testing.assert_allclose(some, np.asarray(system.force(x))[np.array(sites)], rtol=1e-14)
    assert np.abs(some).max() > 1e-3


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_describes_itself(name: str) -> None:
    system = SYSTEMS[name]()
    observed = system.observable(states(system, 1)[0])
    assert system.observable_names == () or len(system.observable_names) == len(observed)
    assert len(system.site_positions) == system.num_sites
    assert np.isfinite(system.site_positions).all()


STENCILS = {
    "predator-prey": (lambda nodes: PredatorPrey(nodes=nodes), (50, 500, 5000)),
    "allen-cahn": (AllenCahn, (10, 50, 200)),
}


@pytest.mark.parametrize("name", STENCILS)
def test_partial_forces_are_partial(name: str) -> None:
    build, (small, large, largest) = STENCILS[name]

    def flops(size: int, count: int) -> float:
        system = build(size)
        x, sites = jnp.ones((system.num_sites, 1)), jnp.zeros(count, jnp.int32)
        compiled = jax.jit(lambda x, sites: system.force_at(x, sites)).lower(x, sites).compile()
        return compiled.cost_analysis()["flops"]

    counts = np.array([8, 16, 32, 64, 96])
    by_size = {n: np.array([flops(n, c) for c in counts]) for n in (small, large, largest)}
    slope, intercept = np.polyfit(counts, by_size[small], 1)
    assert abs(intercept) < slope  # no fixed cost beyond that of one site
    np.testing.assert_allclose(by_size[small], slope * counts + intercept, rtol=0.01)
    np.testing.assert_array_equal(by_size[large], by_size[small])
    np.testing.assert_array_equal(by_size[largest], by_size[small])


def test_a_changed_parameter_does_not_retrace() -> None:
    traces = []

    @eqx.filter_jit
    def force(system: PredatorPrey, x: jax.Array) -> jax.Array:
        traces.append(system)
        return system.force(x)

    x = states(PredatorPrey(nodes=6), 1)[0]
    forces = [
        force(PredatorPrey(nodes=6, growth=r, threshold=c, diffusion=d), x)
        for r, c, d in [(3.0, 0.4, 1.0), (2.5, 0.3, 0.5), (2, 1, 0)]  # integers from a slider
    ]
    assert len(traces) == 1
    assert not np.allclose(forces[0], forces[1])


# --- a system outside JAX ------------------------------------------------------------------------


def test_a_host_force_of_another_shape_is_refused() -> None:
    system = HostSystem(lambda x, sites: np.zeros(len(sites)), lambda x: x.mean(axis=0), 12)
    message = (
        r"one row per asked site, shape \(2, 1\), but returned \(2,\)\. "
        r"Return `\(len\(sites\), channels\)` in the order of `sites`\."
    )
    with pytest.raises(ValueError, match=message):
        system.force_at(np.zeros((12, 1)), np.array([3, 4]))


def test_a_host_computes_what_is_paid_for_and_nothing_else() -> None:
    asked = []
    compute = predator_prey_in_numpy(6)

    def counting(x: np.ndarray, sites: np.ndarray) -> np.ndarray:
        asked.extend(sites)
        return compute(x, sites)

    system = HostSystem(counting, lambda x: x.mean(axis=0), 12)
    x = states(system, 30)
    design = mk.designs.WithReplacement()
    bought = mk.sample(system, x, fraction=0.5, design=design, key=jax.random.key(0))
    assert len(asked) == bought.forces < bought.sites.size
    for k in range(30):
        sites = np.asarray(bought.sites[k])
        np.testing.assert_allclose(bought.force[k], compute(np.asarray(x[k]), sites), rtol=1e-5)


# --- predator–prey -------------------------------------------------------------------------------


def test_the_force_is_the_published_one(double) -> None:
    system = PredatorPrey(nodes=7)
    x = states(system, 1)[0]
    expected = predator_prey_in_numpy(7)(np.asarray(x), np.arange(14))
    np.testing.assert_allclose(system.force(x), expected, rtol=1e-13)


def test_a_start_is_the_published_one(double) -> None:
    system = PredatorPrey()
    x = np.asarray(system.start(0.15, 0.45))
    s = (np.arange(50) + 0.5) / 50
    np.testing.assert_allclose(x[:50, 0], 0.45 + 0.15 * np.cos(5 * np.pi * s), rtol=1e-14)
    np.testing.assert_allclose(x[50:, 0], 1 - 0.45 - 0.15 * np.cos(5 * np.pi * s), rtol=1e-14)


def test_random_starts_cover_the_published_range() -> None:
    system = PredatorPrey()
    keys = jax.random.split(jax.random.key(0), 200)
    u = np.asarray(jax.vmap(lambda k: system.random_start(key=k))(keys))[:, :50, 0]
    level, amplitude = u.mean(axis=1), np.ptp(u, axis=1) / (2 * np.cos(np.pi / 20))
    for value, low, high in [(level, 0.4, 0.6), (amplitude, 0.0, 0.2)]:
        assert low - 1e-3 < value.min() < low + 0.01
        assert high - 0.01 < value.max() < high + 1e-3


def test_observables_are_the_means(double) -> None:
    x = states(PredatorPrey(nodes=6), 1)[0]
    z = PredatorPrey(nodes=6).observable(x)
    np.testing.assert_allclose(z, [x[:6].mean(), x[6:].mean()], rtol=1e-14)


@pytest.mark.parametrize("threshold", [0.25, 0.4, 0.7])
def test_coexistence_is_a_fixed_point(threshold: float, double) -> None:
    system = PredatorPrey(nodes=5, threshold=threshold)
    fixed = jnp.concatenate([jnp.full((5, 1), threshold), jnp.full((5, 1), 1 - threshold)])
    np.testing.assert_allclose(system.force(fixed), 0, atol=1e-15)
    assert jnp.abs(system.force(fixed + 0.01)).max() > 1e-3


def test_diffusion_neither_makes_nor_destroys_predators(double) -> None:
    system = PredatorPrey(nodes=9, diffusion=1.7)
    v = states(system, 1)[0, 9:]
    x = jnp.concatenate([jnp.full((9, 1), 0.4), v])  # prey at the threshold: no reaction
    flow = system.force(x)[9:]
    assert abs(flow.sum()) < 1e-14
    assert jnp.abs(flow).max() > 0.1


def test_diffusion_smooths_each_mode_at_its_discrete_rate(double) -> None:
    n, diffusion = 10, 0.8
    system = PredatorPrey(nodes=n, diffusion=diffusion, threshold=0.0)
    for mode in (1, 4, 9):
        k = np.pi * mode / n
        v = np.cos(k * (np.arange(n) + 0.5))
        x = jnp.concatenate([jnp.zeros(n), jnp.asarray(v)])[:, None]  # without prey: no reaction
        rate = -4 * diffusion * np.sin(k / 2) ** 2
        np.testing.assert_allclose(system.force(x)[n:, 0], rate * v, atol=1e-14)
        run = mk.simulate(system, x[None], duration=1, step=0.001, every=1000)
        np.testing.assert_allclose(run.x[0, 1, n:, 0], np.exp(rate) * v, atol=1e-11)


@pytest.mark.parametrize("mode", [0, 2])
def test_small_waves_follow_the_eigenvalues_of_the_fixed_point(mode: int, double) -> None:
    n, r, c, diffusion = 8, 3.0, 0.4, 0.1
    k = np.pi * mode / n
    damping = 4 * diffusion * np.sin(k / 2) ** 2
    eigenvalues, vectors = np.linalg.eig(np.array([[-c, -c], [r * (1 - c), -damping]]))
    assert (np.abs(eigenvalues.imag) > 0.5).all()  # an oscillation that decays
    assert (eigenvalues.real < -0.1).all()

    wave = np.cos(k * (np.arange(n) + 0.5))
    small = 1e-6 * np.array([1.0, 0.5])
    start = np.concatenate([c + small[0] * wave, 1 - c + small[1] * wave])[:, None]
    system = PredatorPrey(nodes=n, growth=r, threshold=c, diffusion=diffusion)
    run = mk.simulate(system, jnp.asarray(start)[None], duration=6, step=0.01, every=200)
    for time, x in zip(run.times, np.asarray(run.x[0]), strict=True):
        amplitude = vectors @ (np.exp(eigenvalues * time) * np.linalg.solve(vectors, small))
        for species, value in zip(x.reshape(2, n), (c, 1 - c), strict=True):
            expected = amplitude[0 if value == c else 1].real * wave
            np.testing.assert_allclose(species - value, expected, atol=2e-11)


def test_the_stable_step_comes_from_a_bound_on_the_eigenvalues() -> None:
    rng = np.random.default_rng(0)

    @eqx.filter_jit
    def jacobians(system: PredatorPrey, x: jax.Array) -> jax.Array:
        return jax.vmap(jax.jacfwd(lambda x: system.force(x[:, None])[:, 0]))(x)

    ratios = []
    for r, c, diffusion in rng.uniform(0, [4, 1, 1.5], (60, 3)) * rng.integers(0, 2, (60, 3)):
        system = PredatorPrey(nodes=4, growth=r, threshold=c, diffusion=diffusion)
        x = rng.choice([0, 0.4, 1.2], (30, 8)).astype(np.float32)
        largest = np.abs(np.linalg.eigvals(np.asarray(jacobians(system, x)))).max()
        ratios.append(largest / system.spectral_bound)
    assert max(ratios) <= 1 + 1e-5
    assert min(ratios) > 1 / 3  # not so loose that good steps are refused


def test_a_single_node_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 nodes, but got nodes=1"):
        PredatorPrey(nodes=1)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_grid_holds_the_numbers_of_a_state(name: str) -> None:
    system = SYSTEMS[name]()
    assert math.prod(system.grid_shape) == system.num_sites * system.num_channels
