"""Training the closure: the loss term by term, and what training does to it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import CLOSURES, Ring, closure, state, states

import macrokit as mk
from macrokit._autoencoder import ClosureData, _outside_rows

KEY = jax.random.key(0)
RING = Ring()


@pytest.mark.parametrize("kind", CLOSURES)
def test_tangents_outside_the_rows(kind: str, double) -> None:
    """(1 − J†J) ψ′(z) v, against dense matrices."""

    @eqx.filter_jit
    def both(phi: mk.Closure, x: jax.Array, v: jax.Array) -> tuple:
        z = phi.encode(x)
        rows = jax.jacrev(phi.encode)(x).reshape(4, -1)
        tangent = jax.jacfwd(phi.decode)(z) @ v
        return _outside_rows(phi, x, z, v), tangent - jnp.linalg.pinv(rows) @ rows @ tangent

    ours, dense = both(closure(RING, kind), state(RING), jnp.asarray([1.0, -0.5, 2.0, 0.3]))
    np.testing.assert_allclose(ours, dense, atol=1e-10)
    assert np.abs(dense).max() > 1e-3


def dense_loss(phi: mk.Closure, data: ClosureData, batch: int, key: jax.Array) -> dict:
    """The three terms, with dense matrices and the draws of `ClosureLoss`."""
    index_key, tangent_key = jax.random.split(key)
    x = data.states[jax.random.randint(index_key, (batch,), 0, len(data.states))]
    z = jax.vmap(phi.encode)(x)
    v = jax.random.normal(tangent_key, z.shape) * z.std(axis=0)[None]

    def terms(x: jax.Array, z: jax.Array, v: jax.Array) -> tuple:
        rows = jax.jacrev(phi.encode)(x).reshape(len(z), -1)
        tangent = jax.jacfwd(phi.decode)(z) @ v
        outside = tangent - jnp.linalg.pinv(rows) @ rows @ tangent
        error = x.reshape(-1) - phi.decode(z)
        units = jnp.concatenate([data.scale / data.norms, jnp.ones(len(z) - len(data.norms))])
        condition = (jnp.linalg.cond(units[:, None] * rows) ** 2 - 1) ** 2
        return (error**2).mean() / data.variance, condition, (outside**2).mean() / data.variance

    return [term.mean() for term in jax.vmap(terms)(x, z, v)]


def test_loss_term_by_term(double) -> None:
    data, phi = ClosureData(RING.observable, states(RING, 20)), closure(RING, "nonlinear")
    terms = np.array(eqx.filter_jit(dense_loss)(phi, data, 32, KEY))
    assert (terms > 1e-3).all()
    for condition, lift in [(0.0, 0.0), (0.3, 0.7)]:
        loss = mk.ClosureLoss(condition=condition, lift=lift, orthonormal=False, batch=32)
        value = eqx.filter_jit(loss._loss)(phi, data, KEY)
        np.testing.assert_allclose(value, terms @ [1, condition, lift], rtol=1e-9)


def test_weights_decay_and_an_absolute_reconstruction(double) -> None:
    data, phi = ClosureData(RING.observable, states(RING, 20)), closure(RING, "nonlinear")
    fit = np.array(eqx.filter_jit(dense_loss)(phi, data, 32, KEY))[0]
    trained = [phi.encoder.weight, phi.encoder.bias]
    for layer in (*phi.encoder.head.net.layers, *phi.decoder.net.layers):
        trained += [layer.weight, layer.bias]
    squares = sum((np.asarray(w) ** 2).sum() for w in trained)
    for absolute, unit in [(False, 1.0), (True, float(data.variance))]:
        loss = mk.ClosureLoss(lift=0, weight_decay=0.1, absolute=absolute, batch=32)
        value = eqx.filter_jit(loss._loss)(phi, data, KEY)
        np.testing.assert_allclose(value, unit * fit + 0.05 * squares, rtol=1e-9)


@pytest.mark.slow
def test_decay_takes_out_of_an_encoder_what_the_states_do_not_have() -> None:
    """States in a plane: the part of W outside of it is a matter of the weights alone."""
    plane = jax.random.normal(jax.random.key(1), (2, 24))
    weights = jax.random.normal(jax.random.key(2), (400, 2))
    x = (weights @ plane / 5).reshape(400, 12, 2)
    start = mk.nonlinear_closure(RING.observable, x, 2, 8, standardise=False, key=KEY)
    basis = np.linalg.qr(np.asarray(plane).T)[0]

    def outside(decay: float) -> float:
        loss = mk.ClosureLoss(lift=0.0, weight_decay=decay, batch=64)
        settings = {"steps": 3_000, "learning_rate": 3e-3, "progress": False, "key": KEY}
        after = mk.fit_closure(start, x, loss=loss, **settings)
        W = np.asarray(after.encoder.weight)
        return np.linalg.norm(W - (W @ basis) @ basis.T) / np.linalg.norm(W)

    assert outside(1e-2) < 0.05
    assert outside(0.0) > 0.3


def test_data_of_the_loss(double) -> None:
    x = states(RING, 20)
    data = ClosureData(RING.observable, x)
    np.testing.assert_allclose(data.variance, np.asarray(x).var(axis=0).mean(), rtol=1e-12)
    mean = np.asarray(x).mean(axis=0)
    expected = np.stack([[1 / 12, 0.0]] * 12), np.stack([np.zeros(12), mean[:, 1] / 12], axis=1)
    np.testing.assert_allclose(data.gradients, np.stack(expected).reshape(2, 24), rtol=1e-12)
    # |∇ mean|² = 1/12, and the mean of |∇ (mean square)|² over the states.
    norms = [1 / 12, (np.asarray(x)[:, :, 1] ** 2).sum(axis=1).mean() / 144]
    np.testing.assert_allclose(np.asarray(data.norms) ** 2, norms, rtol=1e-6)


def test_a_network_is_not_made_orthonormal() -> None:
    data, phi = ClosureData(RING.observable, states(RING, 20)), closure(RING, "nonlinear")
    same = mk.ClosureLoss().closure(phi, data)
    assert eqx.tree_equal((same.encoder, same.decoder), (phi.encoder, phi.decoder))


def test_numbers_of_the_observable_are_not_trained_and_compile_once() -> None:
    class Scaled(eqx.Module):
        unit: jax.Array = eqx.field(converter=jnp.asarray, default=2.0)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.unit * x.mean(axis=0)

    traces = []

    class Counting(mk.ClosureLoss):
        def __call__(self, parameters, data, key):
            traces.append(1)
            return mk.ClosureLoss.__call__(self, parameters, data, key)

    x = states(RING, 20)
    start = mk.nonlinear_closure(Scaled(), x, learned=2, width=4, key=KEY)
    loss = Counting(batch=8)
    after = mk.fit_closure(start, x, loss=loss, steps=1_100, progress=False, key=KEY)
    assert float(after.observable.unit) == 2.0
    assert not eqx.tree_equal(after.encoder, start.encoder)
    assert len(traces) == 1  # three chunks, one program


def test_a_frozen_encoder_stays_and_its_decoder_learns() -> None:
    phi, loss = closure(RING, "nonlinear"), mk.ClosureLoss(lift=0.0, frozen=True, batch=8)
    after = mk.fit_closure(phi, states(RING, 20), loss=loss, steps=3, progress=False, key=KEY)
    for old, new in zip(arrays(phi.encoder), arrays(after.encoder), strict=True):
        np.testing.assert_array_equal(old, new)
    old, new = phi.decoder.net.layers[-1].weight, after.decoder.net.layers[-1].weight
    assert np.abs(old - new).max() > 1e-4


def arrays(tree) -> list:
    return jax.tree.leaves(eqx.filter(tree, eqx.is_array))


@pytest.mark.slow
def test_training_lowers_the_lift_penalty_and_keeps_the_condition_number() -> None:
    """States on a curved sheet, whose tangents the principal directions miss."""
    system = mk.systems.PredatorPrey(nodes=6)
    rng = np.random.default_rng(0)
    basis, amounts = rng.normal(size=(3, 12)), rng.normal(size=(400, 2))
    curved = np.concatenate([amounts, 0.3 * (amounts**2).sum(axis=1, keepdims=True)], axis=1)
    x = jnp.asarray((0.5 + 0.1 * curved @ basis)[..., None], jnp.float32)
    loss = mk.ClosureLoss(lift=0.1, batch=64)
    reports = list(
        mk.train_closure(
            mk.linear_closure(system.observable, x, 2, key=KEY),
            x,
            loss=loss,
            steps=450,
            learning_rate=5e-3,
            every=150,
            key=KEY,
        )
    )
    assert [report.progress.step for report in reports] == [150, 300, 450]
    assert reports[-1].progress.loss < 0.3 * reports[0].progress.loss
    phi = reports[-1].closure
    np.testing.assert_allclose(phi.condition(x[0]), 1, atol=1e-3)
    decoded = jax.jit(jax.vmap(lambda x: phi.decode(phi.encode(x))))(x).reshape(x.shape)
    assert 1e-6 < float(((decoded - x) ** 2).mean() / x.var(axis=0).mean()) < 0.02
