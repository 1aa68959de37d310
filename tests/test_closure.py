"""The closure: the factored path is the generic one, the lift inverts, linear rows stay fine."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import CLOSURES, SYSTEMS, Ring, closure, state, states

import macrokit as mk
from macrokit._closure import gradient_norms, orthonormalise, principal_directions
from macrokit.systems import PredatorPrey

KEY = jax.random.key(0)
RING = Ring()


@eqx.filter_jit
def both_paths(phi: mk.Closure, x: jax.Array) -> dict:
    generic = jax.jacrev(phi.encode)(x)
    rows = generic.reshape(len(generic), -1)
    return {
        "jacobian": (phi.jacobian(x), generic),
        "gram": (phi.gram(x), rows @ rows.T),
        "lift": (phi.lift(x), jnp.linalg.pinv(rows).T.reshape(generic.shape)),
        "lift of J": (jnp.einsum("dnc,enc->de", phi.lift(x), generic), jnp.eye(len(rows))),
        "condition": (phi.condition(x), jnp.linalg.cond(rows) ** 2),
    }


@pytest.mark.parametrize("kind", CLOSURES)
@pytest.mark.parametrize("system", SYSTEMS)
def test_factored_is_generic(system: str, kind: str, double) -> None:
    system = SYSTEMS[system]()
    for seed in range(3):
        pairs = both_paths(closure(system, kind, seed=seed), state(system, seed=seed))
        for what, (ours, expected) in pairs.items():
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-10, err_msg=what)


@pytest.mark.parametrize("kind", CLOSURES)
def test_observables_come_first(kind: str, double) -> None:
    phi, x = closure(RING, kind), state(RING)
    z = phi.encode(x)
    assert z.shape == (4,)
    np.testing.assert_allclose(z[:2], RING.observable(x), rtol=1e-14)
    np.testing.assert_allclose(z[2:], phi.encoder(x), rtol=1e-14)
    assert phi.decode(z).shape == (24,)


def test_the_gram_matrix_never_needs_the_learned_rows() -> None:
    """Its cost given W Wᵀ does not grow with d N: no (learned, N) product in the whole program."""
    phi = closure(RING, "nonlinear", learned=3)
    program = str(jax.make_jaxpr(lambda x: phi.gram(x))(state(RING)))
    assert "f32[5,24]" in program  # W itself
    assert "f32[3,24]" not in program  # k′(h) W
    assert "f32[3,24]" in str(jax.make_jaxpr(lambda x: phi.jacobian(x))(state(RING)))


# --- linear closures -----------------------------------------------------------------------------


def planted(observable, learned: int = 3, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """States of PredatorPrey(6) on a plane, and the plane's directions, strongest first."""
    rng = np.random.default_rng(0)
    gradients = np.asarray(jax.jacrev(observable)(jnp.ones((12, 1)))).reshape(-1, 12)
    random = np.linalg.qr(np.concatenate([gradients, rng.normal(size=(learned, 12))]).T)[0]
    directions = random[:, len(gradients) :].T
    amounts = rng.normal(size=(count, learned)) * np.array([4.0, 2.0, 1.0])[:learned]
    x = 0.5 + amounts @ directions + rng.normal(size=(count, 2)) @ gradients
    return x[..., None].astype(np.float32), directions


def test_a_linear_closure_begins_at_principal_directions() -> None:
    system = PredatorPrey(nodes=6)
    x, directions = planted(system.observable)
    phi = mk.linear_closure(system.observable, x, 2, key=KEY)
    weight = np.asarray(phi.encoder.weight)
    cosines = (weight * directions[:2]).sum(axis=1) / np.linalg.norm(weight, axis=1)
    assert (np.abs(cosines) > 0.99).all()
    np.testing.assert_allclose(phi.condition(jnp.asarray(x[3])), 1, atol=1e-4)
    z = np.asarray(jax.vmap(lambda x: phi.encode(x))(jnp.asarray(x)))
    np.testing.assert_allclose(z[:, 2:].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(phi.decoder.centre, z.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(phi.decoder.spread, z.std(axis=0), rtol=1e-3)


def test_directions_of_few_states_with_many_coordinates(double) -> None:
    """By the products of the states with each other: those of a singular value decomposition."""
    rng = np.random.default_rng(0)
    centred = rng.normal(size=(30, 200)) * np.geomspace(1, 0.1, 200)
    gradients = rng.normal(size=(2, 200))
    rows = principal_directions(centred, gradients, 5)
    basis = np.linalg.qr(gradients.T)[0]
    expected = np.linalg.svd(centred - centred @ basis @ basis.T)[2][:5]
    np.testing.assert_allclose(np.abs(np.sum(rows * expected, axis=1)), 1, atol=1e-10)
    np.testing.assert_allclose(rows @ rows.T, np.eye(5), atol=1e-10)


@pytest.mark.parametrize(
    ("count", "states", "varying"), [(5, 5, 4), (9, 30, 8), (0, 30, 8), (3, 2, 1)]
)
def test_more_directions_than_there_are(count: int, states: int, varying: int) -> None:
    """Of ten coordinates, two observables; the mean takes a direction of few states."""
    system = PredatorPrey(nodes=5)
    x = np.random.default_rng(0).normal(size=(states, 10, 1)).astype(np.float32)
    message = rf"vary in {varying} directions beside the observables, but {count} learned"
    with pytest.raises(ValueError, match=message):
        mk.linear_closure(system.observable, x, count, key=KEY)


def test_directions_in_which_nothing_varies() -> None:
    rng = np.random.default_rng(0)
    centred = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 20))
    gradients = rng.normal(size=(2, 20))
    assert principal_directions(centred, gradients, 3).shape == (3, 20)
    with pytest.raises(ValueError, match="vary in 3 directions"):
        principal_directions(centred, gradients, 4)


@pytest.mark.parametrize("states", [30, 300])
def test_the_sign_of_a_direction_is_that_of_the_states(double, states: int) -> None:
    """Not that of a linear algebra library, which differs between machines."""
    rng = np.random.default_rng(0)
    centred = rng.normal(size=(states, 100)) * np.geomspace(1, 0.1, 100)
    gradients = rng.normal(size=(2, 100))
    rows = principal_directions(centred, gradients, 5)
    np.testing.assert_allclose(principal_directions(-centred, gradients, 5), -rows, atol=1e-10)
    ahead = centred @ rows.T
    assert (ahead.max(axis=0) == np.abs(ahead).max(axis=0)).all()


def test_the_unit_of_an_observable_does_not_decide_the_condition(double) -> None:
    system = PredatorPrey(nodes=6)
    phi, x = closure(system), state(system)
    units = np.array([1.0, 1e3])
    other = eqx.tree_at(lambda c: c.observable, phi, lambda x: units * phi.observable(x))
    norms, scaled = (gradient_norms(c.observable, x[None]) for c in (phi, other))
    np.testing.assert_allclose(scaled, units * norms)
    # Both observables have gradients of one norm here, which is kept on the average.
    np.testing.assert_allclose(phi.condition(x, jnp.asarray(norms)), phi.condition(x))
    weight = phi.encoder.weight * np.sqrt((scaled**2).mean() / (norms**2).mean())
    other = eqx.tree_at(lambda c: c.encoder.weight, other, weight)
    np.testing.assert_allclose(other.condition(x, jnp.asarray(scaled)), phi.condition(x), rtol=1e-9)


def test_the_condition_of_the_learned_rows_alone(double) -> None:
    system = PredatorPrey(nodes=6)
    phi, x = closure(system, learned=3), state(system)
    rows = phi.jacobian(x)[2:].reshape(3, -1)
    expected = jnp.linalg.cond(rows) ** 2
    np.testing.assert_allclose(phi.condition(x, learned_only=True), expected, rtol=1e-9)
    assert abs(expected / phi.condition(x) - 1) > 0.01


def test_orthonormal_rows(double) -> None:
    system = PredatorPrey(nodes=6)
    gradients = jax.jacrev(system.observable)(jnp.ones((12, 1))).reshape(2, 12)
    scale = jnp.asarray(6**-0.5)  # |∇ mean|² = 1/6
    phi = orthonormalise(closure(system, learned=3), gradients, scale)
    weight = np.asarray(phi.encoder.weight)
    np.testing.assert_allclose(weight @ gradients.T, 0, atol=1e-12)
    np.testing.assert_allclose(weight @ weight.T, np.eye(3) / 6, atol=1e-12)
    np.testing.assert_allclose(phi.condition(state(system)), 1, atol=1e-10)

    again = orthonormalise(phi, gradients, scale)
    np.testing.assert_allclose(again.encoder.weight, weight, atol=1e-12)


def test_orthonormal_rows_span_what_they_spanned(double) -> None:
    system = PredatorPrey(nodes=6)
    gradients = jax.jacrev(system.observable)(jnp.ones((12, 1))).reshape(2, 12)
    before = closure(system, learned=3)
    after = orthonormalise(before, gradients, jnp.asarray(1.0))
    spans = [np.vstack([gradients, phi.encoder.weight]) for phi in (before, after)]
    assert np.linalg.matrix_rank(np.vstack(spans), tol=1e-9) == 5


# --- nonlinear closures --------------------------------------------------------------------------


def test_a_standardised_closure_does_not_care_about_units() -> None:
    """Multiplied and shifted states with inputs standardised: the same hidden layer."""
    x = np.asarray(states(RING, 50))
    hidden = []
    for scale, shift in ((1.0, 0.0), (100.0, 7.0)):
        scaled = scale * x + shift
        phi = mk.nonlinear_closure(RING.observable, scaled, 2, width=5, key=KEY)
        hidden.append(phi.encoder.hidden(jnp.asarray(scaled[0])))
    np.testing.assert_allclose(hidden[0], hidden[1], rtol=1e-3)
    assert np.abs(hidden[0]).max() < 10


def test_the_papers_closure_takes_states_as_they_are() -> None:
    x = states(RING, 50)
    phi = mk.nonlinear_closure(RING.observable, x, 2, width=5, standardise=False, key=KEY)
    assert phi.encoder.weight.shape == (5, 24)
    np.testing.assert_array_equal(phi.encoder.bias, 0)
    decoder = phi.decoder
    np.testing.assert_array_equal(decoder.centre, 0)
    np.testing.assert_array_equal(decoder.state_spread, 1)
    z = jnp.asarray([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(phi.decode(z), decoder.net(z), rtol=1e-6)


def test_a_decoder_may_not_be_told_the_observables() -> None:
    phi = mk.nonlinear_closure(RING.observable, states(RING, 50), 2, width=5, blind=True, key=KEY)
    z = jnp.asarray([0.1, 0.2, 0.3, 0.4])
    assert jnp.array_equal(phi.decode(z), phi.decode(z.at[:2].set(9.0)))
    assert not jnp.array_equal(phi.decode(z), phi.decode(z.at[2].set(9.0)))


def test_a_standardised_closure_begins_with_gradients_as_long_as_the_observables() -> None:
    x = states(RING, 50)
    phi = mk.nonlinear_closure(RING.observable, x, 2, width=5, key=KEY)
    learned = np.diagonal(phi.gram(x.mean(axis=0)))[2:].mean()
    observed = np.mean([np.diagonal(phi.gram(one))[:2] for one in x])
    np.testing.assert_allclose(learned, observed, rtol=1e-4)
