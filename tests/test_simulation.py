"""Simulation: orders of convergence, an independent integrator, what is stored and what it cost."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import Ring, host_system, predator_prey_in_numpy, states

import macrokit as mk
from macrokit import _simulation
from macrokit.systems import PredatorPrey

SYSTEM = PredatorPrey(nodes=6)


def rk4_in_numpy(x: np.ndarray, dt: float, steps: int) -> np.ndarray:
    compute, everywhere = predator_prey_in_numpy(6), np.arange(12)

    def f(x: np.ndarray) -> np.ndarray:
        return compute(x, everywhere)

    for _ in range(steps):
        k1 = f(x)
        k2 = f(x + dt / 2 * k1)
        k3 = f(x + dt / 2 * k2)
        k4 = f(x + dt * k3)
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x


def test_rk4_agrees_with_an_independent_one(double) -> None:
    start = states(SYSTEM, 2)
    run = mk.simulate(PredatorPrey(nodes=6), start, duration=2, step=0.05, every=10)
    for x0, frames in zip(np.asarray(start), np.asarray(run.x), strict=True):
        for k, frame in enumerate(frames):
            np.testing.assert_allclose(frame, rk4_in_numpy(x0, 0.05, 10 * k), rtol=1e-12)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("rk4", 4)])
def test_order_of_convergence(method: str, order: int, double) -> None:
    system, start = PredatorPrey(nodes=6), states(SYSTEM, 1)
    truth = rk4_in_numpy(np.asarray(start[0]), 0.002, 1000)
    errors = []
    for step in (0.04, 0.02, 0.01):
        every = round(2 / step)
        run = mk.simulate(system, start, duration=2, step=step, every=every, method=method)
        errors.append(np.abs(run.x[0, -1] - truth).max())
    observed = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(observed, order, atol=0.12)


def test_velocity_verlet_is_of_order_two_and_reversible(double) -> None:
    ring, start = Ring(), states(Ring(), 1)
    truth = mk.simulate(ring, start, duration=2, step=0.001, every=2_000).x[0, -1]
    errors = []
    for step in (0.04, 0.02, 0.01):
        how = {"duration": 2, "step": step, "every": round(2 / step), "method": "velocity-verlet"}
        there = mk.simulate(ring, start, **how).x[0, -1]
        errors.append(np.abs(there - truth).max())
        turned = there.at[:, 1].multiply(-1)
        back = mk.simulate(ring, turned[None], **how).x[0, -1]
        np.testing.assert_allclose(back.at[:, 1].multiply(-1), start[0], atol=1e-12)
    observed = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(observed, 2, atol=0.05)


def test_adaptive_steps_meet_their_tolerance_and_are_counted(double) -> None:
    calls = []

    class Counted(PredatorPrey):
        def force(self, x: jax.Array) -> jax.Array:
            jax.debug.callback(lambda: calls.append(1))
            return self.force_at(x, jnp.arange(12))

    system, start = Counted(nodes=6), states(SYSTEM, 1)
    truth = rk4_in_numpy(np.asarray(start[0]), 0.002, 1000)
    method = diffrax.Tsit5()
    for tolerance, least, most in [(1e-3, 1e-6, 1e-2), (1e-7, 1e-11, 1e-6)]:
        calls.clear()
        run = mk.simulate(
            system, start, duration=2, step=0.01, every=200, method=method, rtol=tolerance
        )
        jax.effects_barrier()
        assert least < np.abs(run.x[0, -1] - truth).max() < most
        assert run.forces == 12 * len(calls)


def test_adaptive_steps_recover_from_a_first_one_that_overflows() -> None:
    """They come to rest where u = 0.4 and v = 0.6."""
    run = mk.simulate(
        SYSTEM, states(SYSTEM, 3), duration=1e3, step=1e3, every=1, method=diffrax.Tsit5()
    )
    prey, predators = np.split(np.asarray(run.x)[:, -1, :, 0], 2, axis=1)
    np.testing.assert_allclose(prey, 0.4, atol=1e-4)
    np.testing.assert_allclose(predators, 0.6, atol=1e-4)


def test_frames_and_their_times() -> None:
    start = states(SYSTEM, 3)
    fine = mk.simulate(SYSTEM, start, duration=1, step=0.1, method="euler")
    coarse = mk.simulate(SYSTEM, start, duration=1, step=0.1, every=5, method="euler")
    assert fine.x.shape == (3, 11, 12, 1)
    np.testing.assert_array_equal(fine.x[:, 0], start)
    np.testing.assert_allclose(fine.times, np.linspace(0, 1, 11), rtol=1e-6)
    np.testing.assert_allclose(coarse.times, [0, 0.5, 1])
    np.testing.assert_allclose(coarse.x, fine.x[:, ::5], rtol=1e-6)
    np.testing.assert_allclose(fine.x[:, 1], start + 0.1 * jax.vmap(SYSTEM.force)(start), rtol=1e-6)


@pytest.mark.parametrize(("method", "evaluations"), [("euler", 20), ("rk4", 80)])
def test_forces_of_fixed_steps_are_counted(method: str, evaluations: int) -> None:
    run = mk.simulate(SYSTEM, states(SYSTEM, 3), duration=2, step=0.1, every=4, method=method)
    assert run.forces == 3 * evaluations * 12
    assert run[:1].forces == evaluations * 12
    assert len(run[1:]) == 2


def test_numpy_starts_are_accepted() -> None:
    start = np.asarray(states(SYSTEM, 1))
    run = mk.simulate(SYSTEM, start, duration=0.1, step=0.1)
    assert isinstance(run.x, jax.Array)


def test_a_changed_parameter_does_not_retrace() -> None:
    traces = []

    class Traced(Ring):
        def force(self, x: jax.Array) -> jax.Array:
            traces.append(1)
            return self.force_at(x, jnp.arange(12))

    start = states(Ring(), 1)
    mk.simulate(Traced(), start, duration=1, step=0.1)
    once = len(traces)
    for stiffness, step in ((2.0, 0.1), (0.5, 0.1)):
        mk.simulate(Traced(stiffness), 2 * start, duration=10 * step, step=step)
    assert len(traces) == once > 0


# --- bad input -----------------------------------------------------------------------------------


def simulate(**changes) -> mk.Trajectories:
    settings = {"duration": 1, "step": 0.1, "starts": states(SYSTEM, 2)} | changes
    return mk.simulate(SYSTEM, settings.pop("starts"), **settings)


def test_an_unstable_step_is_named_with_the_stable_bound() -> None:
    bound = SYSTEM.spectral_bound
    message = rf"step 0\.5 is unstable for euler: .* largest stable step is {2 / bound:.3g}\."
    with pytest.raises(ValueError, match=message):
        simulate(step=0.5, method="euler")
    with pytest.raises(ValueError, match=rf"for rk4: .* step is {2.785 / bound:.3g}\."):
        simulate(step=0.5)


def test_the_bound_separates_stable_from_unstable_steps() -> None:
    """Beyond it, diffusion alone grows its fastest mode from step to step; below, it does not."""
    n, step = 20, 2 / (4 * 1.0)
    system = PredatorPrey(nodes=n, growth=0.0, diffusion=1.0)
    zigzag = jnp.concatenate([jnp.zeros(n), 1e-3 * (-1.0) ** jnp.arange(n)])[:, None]

    def grown(step: float) -> float:
        x = zigzag
        for _ in range(100):
            x = x + step * system.force(x)
        return float(jnp.abs(x).max() / 1e-3)

    assert grown(0.97 * step) < 1 < 10 < grown(1.05 * step)
    with pytest.raises(ValueError, match="unstable"):
        mk.simulate(system, zigzag[None], duration=1.05 * step, step=1.05 * step, method="euler")


def test_a_run_that_leaves_the_finite_numbers_is_named() -> None:
    start = states(SYSTEM, 3).at[1].set(-50.0)  # uₜ ≈ −u²: infinite in finite time
    with pytest.raises(ValueError, match=r"Trajectory 1 left the finite numbers at time 0\.\d"):
        simulate(starts=start, every=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": "leapfrog"},
            r"one of \['euler', .*'velocity-verlet'\] or an explicit .* got 'leapfrog'",
        ),
        ({"method": diffrax.Kvaerno5()}, "whose forces can be counted, but got Kvaerno5"),
        ({"starts": jnp.zeros((12, 1))}, r"\(…, 12, 1\), but got \(12, 1\).* `x0\[None\]`"),
        ({"starts": jnp.zeros((2, 11, 1))}, r"\(…, 12, 1\), but got \(2, 11, 1\)"),
        ({"every": 3}, "10 steps cannot be stored every 3 steps"),
        ({"every": 0}, "10 steps cannot be stored every 0 steps"),
        ({"duration": 0}, "0 steps cannot be stored"),
        ({"duration": 1.05}, r"whole number of steps, but 1\.05 is 10\.5 steps of 0\.1"),
        ({"step": 0.0}, "step must be positive, but got 0"),
        ({"step": -0.1}, r"step must be positive, but got -0\.1"),
        (
            {"starts": jnp.ones((2, 12, 1)).at[1, 7].set(jnp.nan)},
            r"state of start 1 is not finite at site 7 \(channel 0\): nan\. .* that start",
        ),
    ],
)
def test_bad_input(changes: dict, message: str, as_user) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(**changes)


def test_a_host_system_is_not_simulated() -> None:
    with pytest.raises(ValueError, match=r"HostSystem is not simulated .* pass the states to"):
        mk.simulate(host_system(), jnp.ones((1, 12, 1)), duration=1, step=0.1)


def test_trajectories_are_a_pytree() -> None:
    run = simulate()
    halved = eqx.tree_at(lambda r: r.x, run, run.x / 2)
    np.testing.assert_array_equal(halved.x, run.x / 2)


def test_frames_count_until_the_end() -> None:
    start = states(SYSTEM, 4)
    runs = mk.simulate(SYSTEM, start, duration=4, step=0.1)
    first = np.asarray(runs.x)[:, :, 0, 0]
    level = float(first[:, 0].min()) - 0.01
    cut = mk.simulate(SYSTEM, start, duration=4, step=0.1, until=lambda x: x[0, 0] < level)
    np.testing.assert_array_equal(cut.x, runs.x)
    over = first < level
    expected = np.where(over.any(axis=1), over.argmax(axis=1), 41)
    assert 0 < expected.min() < 41
    np.testing.assert_array_equal(cut.lengths, expected)
    assert len(cut.frames(0)) == expected[0]
    np.testing.assert_array_equal(cut[1:3].lengths, cut.lengths[1:3])


def test_a_run_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`until` is true at the start of trajectory 0, so that"):
        mk.simulate(SYSTEM, states(SYSTEM, 2), duration=1, step=0.1, until=lambda x: x[0, 0] < 9)


def test_threads_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start = states(SYSTEM, 12)
    whole = mk.simulate(SYSTEM, start, duration=2, step=0.1)
    for name, value in {"equal_groups": lambda _: 1, "_CACHED": 12 * 5}.items():
        monkeypatch.setattr(_simulation, name, value)
        jax.clear_caches()
        again = mk.simulate(SYSTEM, start, duration=2, step=0.1)
        np.testing.assert_allclose(again.x, whole.x, rtol=1e-6)
