"""Roll-outs against closed forms, runs that leave the region of trust, the scaling's numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import Heat, LinearField, Ring, closure, states

import macrokit as mk
from macrokit import MacroModel
from macrokit._rollout import rollout_errors, standardisation
from macrokit.estimators import Labels
from macrokit.macro import Affine, Structured

KEY = jax.random.key(0)
LINEAR = np.array([[-0.3, -2.0], [2.0, -0.3]])


def plain(weight) -> MacroModel:
    """dz/dt = W z."""
    d = len(weight)
    one, zero = jnp.ones(d), jnp.zeros(d)
    return MacroModel(
        LinearField(jnp.asarray(weight, jnp.float32), d), Affine(zero, one, zero, one)
    )


class Square(mk.macro.AbstractMacro):
    """dz/dt = z², which is infinite at t = 1/z₀."""

    dim: int = 1

    def __call__(self, z):
        return z**2


class Steep(mk.macro.AbstractMacro):
    """dz/dt = −z − z⁹, so that z⁻⁸ + 1 grows as exp(8 t); far out z⁹ overflows."""

    dim: int = 1

    def __call__(self, z):
        return -z - z**9


# --- roll-outs -----------------------------------------------------------------------------------


def test_a_linear_field_follows_the_matrix_exponential() -> None:
    times, z0 = jnp.linspace(1.0, 6.0, 26), jnp.asarray([1.0, 0.5])
    run = mk.rollout(plain(LINEAR), z0, times)
    eigenvalues, vectors = np.linalg.eig(LINEAR)
    phases = np.exp(np.outer(np.asarray(times) - 1, eigenvalues))
    expected = (phases * np.linalg.solve(vectors, np.asarray(z0))) @ vectors.T
    np.testing.assert_allclose(run.z, expected.real, atol=5e-5)
    assert np.abs(expected[-1]).max() < 0.5  # it has moved
    assert not run.diverged
    assert run.valid.all()


def test_a_scaling_changes_the_units_of_a_roll_out_only() -> None:
    """In u = (z − μ)/σ and t/τ the dressed field is the bare one."""
    centre, spread = jnp.asarray([3.0, -1.0]), jnp.asarray([0.01, 100.0])
    scaling = Structured(centre, spread, jnp.zeros(2), 4 * spread)
    field = LinearField(jnp.asarray(LINEAR, jnp.float32), 2)
    times = jnp.linspace(0.0, 1.0, 5)
    run = mk.rollout(MacroModel(field, scaling), centre + spread, times)
    bare = mk.rollout(plain(LINEAR), jnp.ones(2), times / scaling.time)
    np.testing.assert_allclose((run.z - centre[None]) / spread[None], bare.z, atol=3e-4)


@pytest.mark.parametrize("start", [0.5, -20.0])
def test_a_run_that_leaves_is_reported_with_its_time(start: float) -> None:
    """dz/dt = z reaches the horizon, 100, at ln(100 / |z₀|)."""
    times = jnp.linspace(0.0, 8.0, 801)
    run = mk.rollout(plain([[1.0]]), jnp.asarray([start]), times)
    left = np.log(100 / abs(start))
    assert run.diverged
    assert left <= run.left_at < left + 0.011  # the first frame after it
    before = np.asarray(times) < left
    np.testing.assert_array_equal(run.valid, before)
    np.testing.assert_allclose(run.z[before, 0], start * np.exp(times[before]), rtol=1e-4)
    held = np.asarray(run.z)[~before, 0]
    assert np.isfinite(held).all()
    assert (held == run.z[before][-1]).all()


def test_a_run_into_infinity_in_finite_time_is_reported() -> None:
    one, zero = jnp.ones(1), jnp.zeros(1)
    model = MacroModel(Square(), Affine(zero, one, zero, one))
    times = jnp.linspace(0.0, 4.0, 81)
    run = mk.rollout(model, jnp.asarray([0.5]), times, horizon=1e30)
    assert 1.95 <= run.left_at <= 2.06
    assert np.isfinite(run.z).all()


def test_a_step_too_long_to_be_computed_is_taken_again() -> None:
    """Of 64 roll-outs side by side some begin with a step whose stages overflow."""
    one, zero = jnp.ones(1), jnp.zeros(1)
    model = MacroModel(Steep(), Affine(zero, one, zero, one))
    times, starts = jnp.linspace(0.0, 1.0, 11), jnp.linspace(0.5, 3.0, 64)[:, None]
    run = jax.vmap(lambda start: mk.rollout(model, start, times))(starts)
    assert not run.diverged.any()
    exact = ((np.asarray(starts) ** -8 + 1) * np.exp(8 * np.asarray(times)) - 1) ** -0.125
    np.testing.assert_allclose(run.z[..., 0], exact, rtol=1e-3)


def test_a_run_that_stays_has_not_left() -> None:
    run = mk.rollout(plain([[1.0]]), jnp.asarray([0.5]), jnp.linspace(0.0, 5.0, 11))
    assert run.left_at == np.inf
    assert run.z[-1, 0] == pytest.approx(0.5 * np.exp(5), rel=1e-4)


def test_a_run_that_leaves_just_before_its_end_has_left() -> None:
    run = mk.rollout(plain([[1.0]]), jnp.asarray([0.7]), jnp.linspace(0.0, 5.0, 11))
    assert run.left_at == 5.0  # 0.7 e⁵ = 104


def test_a_run_that_begins_outside_has_left_at_once() -> None:
    run = mk.rollout(plain([[1.0]]), jnp.asarray([200.0]), jnp.linspace(0.0, 5.0, 11))
    assert run.left_at == 0
    assert not run.valid.any()
    np.testing.assert_array_equal(run.z, 200)


def test_a_start_of_another_size_is_refused(as_user) -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\), but got \(3,\).* `closure.encode\(x0\)`"):
        mk.rollout(plain(LINEAR), jnp.ones(3), jnp.linspace(0.0, 1.0, 11))


# --- errors --------------------------------------------------------------------------------------


def test_relative_error_by_hand() -> None:
    """Sums of norms over time, not of squares, and the norm is over the observables."""
    true = jnp.asarray([[3.0, 4.0], [0.0, 5.0]])
    predicted = jnp.asarray([[3.0, 5.0], [3.0, 1.0]])
    assert mk.relative_error(predicted, true) == pytest.approx((1 + 5) / (5 + 5))
    assert mk.relative_error(true, true) == 0


def heat_runs(count: int) -> mk.Trajectories:
    return mk.simulate(Heat(), states(Heat(), count), duration=4, step=0.05, every=8)


def exact_model() -> MacroModel:
    return plain(Heat().macroscopic())


def test_the_exact_model_has_no_error() -> None:
    test = mk.TestSet(Heat().closure(), heat_runs(3))
    assert test.start.shape == (3, 3)
    errors, left_at = rollout_errors(exact_model(), test)
    assert errors.shape == (3,)
    assert 0 < errors.max() < 1e-4
    assert (left_at == np.inf).all()


def test_a_test_set_is_the_truth_along_the_run() -> None:
    runs, phi = heat_runs(2), Heat().closure()
    test = mk.TestSet(phi, runs)
    np.testing.assert_array_equal(test.times, runs.times)
    for k in range(2):
        np.testing.assert_allclose(test.start[k], phi.encode(runs.x[k, 0]), atol=1e-5)
        for j in (0, 7, 10):
            observed = Heat().observable(runs.x[k, j])
            np.testing.assert_allclose(test.observables[k, j], observed, atol=1e-5)


def test_the_error_of_members_is_the_mean_over_trajectories() -> None:
    test = mk.TestSet(Heat().closure(), heat_runs(3))
    wrong = plain(1.2 * Heat().macroscopic())
    errors = mk.test_errors(mk.stack([exact_model(), wrong]), test)
    assert errors.shape == (2,)
    one, _ = rollout_errors(wrong, test)
    np.testing.assert_allclose(errors[1], np.mean(one), rtol=1e-4)
    assert errors[0] < 1e-4 < 1e-2 < errors[1] < 1


def test_a_diverged_run_has_infinite_error() -> None:
    test = mk.TestSet(Heat().closure(), heat_runs(3))
    explodes = plain(np.diag([9.0, 0, 0]))
    errors, left_at = rollout_errors(explodes, test)
    assert (errors == np.inf).all()
    assert (left_at < 4.1).all()
    both = mk.test_errors(mk.stack([exact_model(), explodes]), test)
    assert both[0] < 1e-4
    assert both[1] == np.inf


# --- the scaling ---------------------------------------------------------------------------------


def affine_labels(S, *, noise: float = 0.0) -> tuple[Labels, np.ndarray]:
    """Of y = a + B z in a metric S per snapshot, and y itself."""
    rng = np.random.default_rng(0)
    z = rng.normal([5.0, -1.0], [0.1, 3.0], (4000, 2))
    y = np.array([2.0, 0.3]) + z @ np.array([[0.5, -0.1], [2.0, 0.2]]).T
    b = np.einsum("nij,nj->ni", S, y) + noise * rng.normal(size=y.shape)
    arrays = (jnp.asarray(a, jnp.float32) for a in (z, S, b, np.zeros(4000)))
    return Labels(*arrays, jnp.asarray(4000)), y


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-3), (1.0, 0.1)])
def test_rates_are_those_of_the_field_and_not_of_the_noise(noise: float, tolerance: float) -> None:
    S = np.tile([[2.0, 0.5], [0.5, 1.0]], (4000, 1, 1))
    labels, y = affine_labels(S, noise=noise)
    centre, spread, mean_rate, rate = standardisation(labels)
    z = np.asarray(labels.z)
    np.testing.assert_allclose(centre, z.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(spread, z.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(mean_rate, y.mean(axis=0), atol=tolerance)
    np.testing.assert_allclose(rate, y.std(axis=0), rtol=tolerance)
    if noise:
        assert (np.linalg.solve(S[0], labels.b.T).std(axis=1) > 1.5 * rate).all()


def test_padding_is_not_part_of_the_statistics() -> None:
    labels, _ = affine_labels(np.tile(np.eye(2), (4000, 1, 1)))
    for one, same in zip(
        standardisation(labels), standardisation(labels.padded(5000)), strict=True
    ):
        np.testing.assert_array_equal(one, same)


def test_a_model_is_a_field_in_the_units_of_z() -> None:
    labels, y = affine_labels(np.tile(np.eye(2), (4000, 1, 1)))
    field = LinearField(jnp.eye(2), 2)
    default, affine = mk.macro_model(field, labels), mk.macro_model(field, labels, Affine)
    assert isinstance(default.scaling, Structured)
    z = labels.z[0]
    expected = y.std(axis=0) * (z - labels.z.mean(axis=0)) / labels.z.std(axis=0) + y.mean(axis=0)
    np.testing.assert_allclose(affine(z), expected, rtol=1e-3)
    np.testing.assert_allclose(default(z), default.scaling(field, z))


def test_a_field_of_another_size_is_refused() -> None:
    labels, _ = affine_labels(np.tile(np.eye(2), (4000, 1, 1)))
    message = r"has d = 3 .* the labels have 2\. Build it with `dim=2`"
    with pytest.raises(ValueError, match=message):
        mk.macro_model(LinearField(jnp.eye(3), 3), labels)


def test_a_variable_that_never_changes_is_named() -> None:
    system = Ring()
    x = np.array(states(system, 1)).repeat(9, axis=0)
    x[:, :, 0] += np.arange(9)[:, None]  # q moves, so mean q does; the kinetic energy does not
    phi = closure(system)
    labels = mk.label(mk.estimators.Exact(), phi, mk.sample(system, x, key=KEY))
    labels = eqx.tree_at(lambda d: d.z, labels, labels.z.at[:, 1].set(0.25))
    with pytest.raises(ValueError, match="variable 1 is the same in all 9 snapshots"):
        mk.macro_model(LinearField(jnp.eye(4), 4), labels)
