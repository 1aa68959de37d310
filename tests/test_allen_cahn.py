"""Allen–Cahn: the published equations, its two energies, interfaces that move by curvature."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import macrokit as mk
from macrokit.systems import AllenCahn


def field(grid: int, *, seed: int = 0, size: float = 1.1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-size, size, (grid, grid))


def force_in_numpy(u: np.ndarray, epsilon: float) -> np.ndarray:
    """The published equation once more, in plain loops."""
    n = len(u)
    rate = np.empty_like(u)
    for i in range(n):
        for j in range(n):
            around = (
                u[max(i - 1, 0), j]
                + u[min(i + 1, n - 1), j]
                + u[i, max(j - 1, 0)]
                + u[i, min(j + 1, n - 1)]
            )
            rate[i, j] = (u[i, j] - u[i, j] ** 3) / epsilon**2 + n**2 * (around - 4 * u[i, j])
    return rate


def column(u: np.ndarray) -> jax.Array:
    return jnp.asarray(u.reshape(-1, 1))


def test_the_force_is_the_published_one(double) -> None:
    u = field(7)
    force = AllenCahn(7, epsilon=0.1).force(column(u))
    np.testing.assert_allclose(force, force_in_numpy(u, 0.1).reshape(-1, 1), rtol=1e-12)


def test_the_published_interface_is_ten_nodes_wide(double) -> None:
    system = AllenCahn()
    assert (system.grid, system.num_sites) == (200, 40_000)
    assert float(system.epsilon) == pytest.approx(0.012007, abs=1e-6)
    # From −0.9 to 0.9 on ten nodes: tanh(5h/(√2 ε)) = 0.9.
    assert np.tanh(5 / 200 / (np.sqrt(2) * float(system.epsilon))) == pytest.approx(0.9)


def test_starts_are_rings_of_the_published_size(double) -> None:
    system = AllenCahn(40)
    u = np.asarray(system.start(0.35, 0.12))[:, 0]
    r = np.hypot(*(system.site_positions - 0.5).T)
    assert (u[(r > 0.2) & (r < 0.27)] > 0.5).all()
    assert (u[(r > 0.45) | (r < 0.02)] < -0.5).all()
    keys = jax.random.split(jax.random.key(0), 50)
    starts = jax.vmap(lambda k: system.random_start(key=k))(keys)
    area = (np.asarray(starts).mean(axis=(1, 2)) + 1) / 2
    smallest, largest = (np.pi * (a**2 - b**2) for a, b in ((0.3, 0.15), (0.4, 0.1)))
    assert smallest * 0.97 < area.min() < area.max() < largest * 1.03
    assert np.ptp(area) > 0.4 * (largest - smallest)


def test_a_changed_parameter_does_not_retrace() -> None:
    traces = []

    @eqx.filter_jit
    def force(system: AllenCahn, x: jax.Array) -> jax.Array:
        traces.append(system)
        return system.force(x)

    x = column(field(5).astype(np.float32))
    first, second = (force(AllenCahn(5, epsilon=e), x) for e in (None, 1))
    assert len(traces) == 1
    assert not np.allclose(first, second)


def test_too_small_a_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 nodes along a side, but got grid=2"):
        AllenCahn(2)


# --- energies ------------------------------------------------------------------------------------


def test_the_observable_is_the_published_energy(double) -> None:
    u, epsilon, h = field(6), 0.1, 1 / 6
    padded = np.pad(u, 1, mode="edge")
    slopes = (
        (padded[2:, 1:-1] - padded[:-2, 1:-1]) / (2 * h),
        (padded[1:-1, 2:] - padded[1:-1, :-2]) / (2 * h),
    )
    density = (u**2 - 1) ** 2 / (4 * epsilon**2) + (slopes[0] ** 2 + slopes[1] ** 2) / 2
    (energy,) = AllenCahn(6, epsilon=epsilon).observable(column(u))
    assert float(energy) == pytest.approx(h**2 * density.sum(), rel=1e-12)


def test_the_force_is_the_gradient_of_the_consistent_energy(double) -> None:
    system = AllenCahn(6, epsilon=0.1)
    x = column(field(6))
    gradient = jax.grad(lambda x: system.consistent_energy(x))(x)
    np.testing.assert_allclose(gradient, -system.force(x) / 6**2, rtol=1e-10)
    other = jax.grad(lambda x: system.observable(x)[0])(x)
    assert np.abs(other + system.force(x) / 6**2).max() > 1  # the observable's is another one


def test_the_consistent_energy_always_decays(double) -> None:
    system = AllenCahn(12)
    starts = jnp.stack([column(field(12, seed=s)) for s in range(3)])
    step = 1e-4
    run = mk.simulate(system, starts, duration=100 * step, step=step)
    energy = jax.vmap(jax.vmap(lambda x: system.consistent_energy(x)))(run.x)
    assert (np.diff(energy, axis=1) < 0).all()


def test_a_disc_has_the_energy_of_its_border(double) -> None:
    """2√2/(3ε) per length as ε → 0; both energies approach it, and each other."""
    radius, gaps = 0.3, []
    for grid in (50, 100, 200):
        system = AllenCahn(grid, epsilon=0.03)
        x = system.start(radius, -1.0)
        (paper,), consistent = system.observable(x), system.consistent_energy(x)
        border = 2 * np.pi * radius * 2 * np.sqrt(2) / (3 * 0.03)
        assert float(consistent) == pytest.approx(border, rel=0.02)
        gaps.append(float(consistent - paper) / border)
    np.testing.assert_allclose(np.log2(np.array(gaps[:-1]) / gaps[1:]), 2, atol=0.1)


# --- dynamics ------------------------------------------------------------------------------------


def test_a_disc_shrinks_by_its_curvature() -> None:
    """dr/dt = −1/r, so that r² falls at the rate 2 whatever the radius."""
    system = AllenCahn(100)
    step = 10 * 0.1 / 100**2
    run = mk.simulate(
        system,
        system.start(0.35, -1.0)[None],
        duration=400 * step,
        step=step,
        every=40,
        method="strang-4",
    )
    area = (np.asarray(run.x)[0].mean(axis=(1, 2)) + 1) / 2
    rate = np.polyfit(run.times[1:], area[1:] / np.pi, 1)[0]
    assert rate == pytest.approx(-2, rel=0.02)
    assert area[-1] / np.pi == pytest.approx(0.35**2 - 2 * 0.04, rel=0.03)


def test_the_flows_solve_the_two_halves_of_the_force(double) -> None:
    system = AllenCahn(9, epsilon=0.1)
    x, zero, rates = column(field(9)), jnp.asarray(0.0), []
    for part in range(2):
        same, rate = jax.jvp(lambda t, part=part: system.flows(t)[part](x), (zero,), (zero + 1,))
        np.testing.assert_allclose(same, x, atol=1e-14)
        rates.append(rate)
    u = np.asarray(x)
    np.testing.assert_allclose(rates[0], (u - u**3) / 0.1**2, rtol=1e-9)
    np.testing.assert_allclose(rates[0] + rates[1], system.force(x), rtol=1e-9)


def test_the_flows_compose(double) -> None:
    system, x = AllenCahn(9, epsilon=0.1), column(field(9))
    for first, second, both in zip(
        *(system.flows(jnp.asarray(t)) for t in (0.002, 0.003, 0.005)), strict=True
    ):
        np.testing.assert_allclose(second(first(x)), both(x), atol=1e-13)


def test_diffusion_smooths_each_mode_at_its_discrete_rate(double) -> None:
    n, time = 10, 0.004
    _, diffusion = AllenCahn(n).flows(jnp.asarray(time))
    middle = np.arange(n) + 0.5
    for a, b in ((0, 0), (1, 0), (3, 9)):
        wave = np.outer(np.cos(np.pi * a * middle / n), np.cos(np.pi * b * middle / n))
        rate = 4 * n**2 * (np.sin(np.pi * a / 2 / n) ** 2 + np.sin(np.pi * b / 2 / n) ** 2)
        np.testing.assert_allclose(
            diffusion(column(wave)), column(np.exp(-rate * time) * wave), atol=1e-13
        )


@pytest.mark.parametrize(("method", "order"), [("strang", 2), ("strang-4", 4)])
def test_order_of_the_splittings(method: str, order: int, double) -> None:
    """Against Runge and Kutta, who know nothing of the flows."""
    system = AllenCahn(16, epsilon=0.05)
    start = system.start(0.35, 0.12)[None]
    settings = {"duration": 0.0064, "every": 1}
    truth = mk.simulate(system, start, step=2e-5, **settings).x[0, -1]
    errors = [
        np.abs(mk.simulate(system, start, step=step, method=method, **settings).x[0, -1] - truth)
        for step in (8e-4, 4e-4, 2e-4)
    ]
    largest = np.array([error.max() for error in errors])
    np.testing.assert_allclose(np.log2(largest[:-1] / largest[1:]), order, atol=0.3)


def test_systems_without_flows_are_not_split() -> None:
    system = mk.systems.PredatorPrey(nodes=6)
    message = r"'strang' needs a system with `flows`, but PredatorPrey has none\. Take \"rk4\""
    with pytest.raises(ValueError, match=message):
        mk.simulate(system, jnp.ones((1, 12, 1)), duration=1, step=0.1, method="strang")


def test_the_stable_step_comes_from_a_bound_on_the_eigenvalues() -> None:
    system = AllenCahn(5, epsilon=0.1)
    jacobian = jax.jit(jax.jacfwd(lambda x: system.force(x[:, None])[:, 0]))
    largest = [
        np.abs(
            np.linalg.eigvalsh(jacobian(jnp.asarray(a * np.sign(field(5, seed=s)).ravel())))
        ).max()
        for s in range(5)
        for a in (0.0, 0.6, 1.1)
    ]
    assert 0.8 < max(largest) / system.spectral_bound <= 1
