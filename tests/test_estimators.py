"""Estimators: (S, b, c) is the loss they stand for, its gradient, and unbiased over redraws."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import (
    CLOSURES,
    DESIGNS,
    ESTIMATORS,
    PARTIAL,
    SYSTEMS,
    Ring,
    closure,
    state,
    states,
)

import macrokit as mk

KEY = jax.random.key(0)
RING = Ring()
EVERYWHERE = jnp.arange(RING.num_sites)


def loss(name: str, phi: mk.Closure, x, sites, weights, force, g) -> jax.Array:
    """The uncompressed loss of one snapshot, as the paper writes it, with dense matrices."""
    jacobian = jax.jacrev(phi.encode)(x)
    if name == "exact":
        return ((jnp.einsum("dnc,nc->d", jacobian[:, sites], force) - g) ** 2).sum()
    rows = jacobian.reshape(len(jacobian), -1)
    lift = jnp.linalg.inv(rows @ rows.T) @ rows  # Aᵀ
    lift = lift.T.reshape(*x.shape, -1)
    residual = force - jnp.einsum("ncd,d->nc", lift[sites], g)
    return (weights[:, None] * residual**2).sum()


# --- identities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLOSURES)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_direction_is_half_the_gradient_of_the_loss(name: str, kind: str, double) -> None:
    partial = name in PARTIAL

    @eqx.filter_jit
    def both(phi: mk.Closure, x: jax.Array, g: jax.Array) -> tuple:
        sites, weights = EVERYWHERE, jnp.ones(12)
        if partial:
            sites, weights = DESIGNS["with-replacement"]().draw(RING, x, 7, key=KEY)
        bought = (x, sites, weights, RING.force_at(x, sites))
        S, b, c = ESTIMATORS[name]()(phi, *bought)
        value, gradient = jax.value_and_grad(lambda g: loss(name, phi, *bought, g))(g)
        return S @ g - b, gradient / 2, g @ S @ g - 2 * b @ g + c, value

    for seed in range(3):
        phi, x = closure(RING, kind, seed=seed), state(RING, seed=seed)
        g = jnp.asarray(np.random.default_rng(seed).normal(size=4))
        direction, half_gradient, ours, value = both(phi, x, g)
        np.testing.assert_allclose(direction, half_gradient, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(ours, value, rtol=1e-10)


@pytest.mark.parametrize("kind", CLOSURES)
def test_theorem_1_pointwise(kind: str, double) -> None:
    """|f − A g|² = |f_⊥|² + (g − y)ᵀ M⁻¹ (g − y), y = J f."""

    @eqx.filter_jit
    def terms(phi: mk.Closure, x: jax.Array, g: jax.Array) -> tuple:
        f, jacobian, lift = RING.force(x), phi.jacobian(x), phi.lift(x)
        y = jnp.einsum("dnc,nc->d", jacobian, f)
        outside = f - jnp.einsum("dnc,d->nc", lift, y)
        whole = ((f - jnp.einsum("dnc,d->nc", lift, g)) ** 2).sum()
        return whole, (outside**2).sum(), (g - y) @ jnp.linalg.solve(phi.gram(x), g - y)

    for g in ([0.3, -1.0, 2.0, 0.5], [0.0, 0.0, 0.0, 0.0]):
        whole, outside, inside = terms(closure(RING, kind), state(RING), jnp.asarray(g))
        np.testing.assert_allclose(whole, outside + inside, rtol=1e-10)
        assert min(outside, inside) > 0.01 * whole  # both terms matter


@pytest.mark.parametrize("kind", CLOSURES)
def test_all_forces_make_lifted_exact_times_the_gram_matrix(kind: str, double) -> None:
    phi, x = closure(RING, kind), states(RING, 4)
    snapshots = mk.sample(RING, x, key=KEY)
    exact = mk.label(ESTIMATORS["exact"](), phi, snapshots)
    lifted = mk.label(ESTIMATORS["lifted"](), phi, snapshots)
    gram = np.asarray(jax.jit(jax.vmap(lambda x: phi.gram(x)))(x))
    np.testing.assert_allclose(lifted.z, exact.z, rtol=1e-14)
    np.testing.assert_allclose(gram @ np.asarray(lifted.S), exact.S, atol=1e-10)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", gram, lifted.b), exact.b, rtol=1e-9)


# --- statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLOSURES)
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", PARTIAL)
def test_partial_forces_are_unbiased(name: str, design: str, kind: str) -> None:
    estimator, draw = ESTIMATORS[name](), DESIGNS[design]().draw
    phi, x = closure(RING, kind), state(RING)

    @jax.jit
    def redraw(keys: jax.Array) -> tuple:
        def one(key: jax.Array) -> tuple:
            sites, weights = draw(RING, x, 6, key=key)
            return estimator(phi, x, sites, weights, RING.force_at(x, sites))

        full = estimator(phi, x, EVERYWHERE, jnp.ones(12), RING.force(x))
        return jax.vmap(one)(keys), full

    redrawn, full = redraw(jax.random.split(jax.random.key(3), 10_000))
    for what, values, truth in zip("Sbc", redrawn, full, strict=True):
        values = np.asarray(values, np.float64)
        z = (values.mean(axis=0) - truth) / (values.std(axis=0) / np.sqrt(len(values)))
        # Of 16, of 4, and of a single number: neither too far from the truth, nor too close.
        least = {"S": 0.5, "b": 0.25, "c": 0.005}[what]
        assert least < np.abs(z).max() < 4, what


# --- label ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
def test_labels_of_every_system(system: str) -> None:
    system = SYSTEMS[system]()
    x, phi = states(system, 5), closure(system)
    for name, build in ESTIMATORS.items():
        snapshots = mk.sample(system, x, fraction=0.5 if name in PARTIAL else 1.0, key=KEY)
        labels = mk.label(build(), phi, snapshots)
        assert (labels.z.shape, labels.S.shape, labels.b.shape) == ((5, 4), (5, 4, 4), (5, 4))
        assert int(labels.count) == 5

        arrays = (x, snapshots.sites, snapshots.weights, snapshots.force)
        estimator = functools.partial(build(), phi)
        S, b, c = jax.jit(jax.vmap(lambda *a, e=estimator: e(*a)))(*arrays)
        z = jax.jit(jax.vmap(lambda x: phi.encode(x)))(x)
        np.testing.assert_allclose(labels.z, z, rtol=1e-5)
        np.testing.assert_allclose(labels.S, S, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(labels.b, b, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(labels.c, c, rtol=1e-5)


def test_labels_do_not_depend_on_the_block_they_are_made_in() -> None:
    phi, x = closure(RING), states(RING, 260)  # one block is 256
    snapshots = mk.sample(RING, x, fraction=0.5, key=KEY)
    together = mk.label(ESTIMATORS["lifted"](), phi, snapshots)
    apart = mk.label(ESTIMATORS["lifted"](), phi, snapshots[256:])
    np.testing.assert_allclose(np.asarray(together.b)[256:], apart.b, rtol=1e-4, atol=1e-5)
    assert int(apart.count) == 4


def test_the_order_of_the_sites_does_not_matter_to_exact() -> None:
    phi, x = closure(RING), states(RING, 3)
    snapshots = mk.sample(RING, x, key=KEY)
    turned = mk.Snapshots(x, snapshots.sites[:, ::-1], snapshots.force[:, ::-1])
    labels, same = (mk.label(ESTIMATORS["exact"](), phi, s) for s in (snapshots, turned))
    np.testing.assert_allclose(labels.b, same.b, rtol=1e-5)


def test_exact_refuses_partial_forces() -> None:
    snapshots = mk.sample(RING, states(RING, 3), fraction=0.5, key=KEY)
    message = (
        r"needs the force on all 12 sites, but these snapshots hold 6\. "
        r"Sample with `fraction=1`, or use `Lifted\(\)`, which accepts partial forces\."
    )
    with pytest.raises(ValueError, match=message):
        mk.label(mk.estimators.Exact(), closure(RING), snapshots)


def test_exact_refuses_repeated_sites() -> None:
    """As many draws as sites, with replacement, are not all the forces."""
    design = DESIGNS["with-replacement"]()
    snapshots = mk.sample(RING, states(RING, 3), design=design, key=KEY)
    with pytest.raises(ValueError, match=r"all 12 sites, but these snapshots hold [6-9]\. "):
        mk.label(mk.estimators.Exact(), closure(RING), snapshots)


def test_a_closure_of_another_size_is_refused() -> None:
    snapshots = mk.sample(RING, states(RING, 3), key=KEY)
    message = (
        r"encodes states of 20 numbers, but these snapshots have 12 sites × 2 channels = 24\. "
        "Train a closure on states of this system."
    )
    with pytest.raises(ValueError, match=message):
        mk.label(mk.estimators.Exact(), closure(Ring(num_sites=10)), snapshots)


def test_labels_grow_without_a_change_of_shape() -> None:
    phi, x = closure(RING), states(RING, 5)
    labels = mk.label(mk.estimators.Exact(), phi, mk.sample(RING, x, key=KEY))
    roomy = labels.padded(8)
    assert roomy.S.shape == (8, 4, 4)
    assert int(roomy.count) == 5
    np.testing.assert_array_equal(np.asarray(roomy.b)[:5], labels.b)
    both = mk.stack([labels, labels]).padded(8)
    assert both.z.shape == (2, 8, 4)
    np.testing.assert_array_equal(np.asarray(both.c)[1, :5], labels.c)
    with pytest.raises(ValueError, match="5 labels do not fit in 4 rows"):
        labels.padded(4)
