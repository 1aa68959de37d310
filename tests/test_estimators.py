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
    Linear,
    Ring,
    closure,
    state,
    states,
)

import macrokit as mk

KEY = jax.random.key(0)
RING = Ring()
EVERYWHERE = jnp.arange(RING.num_sites)


METRIC = jnp.asarray([1.0, 4.0, 0.5, 2.0])


def rows(system, phi: mk.Closure, x, sites, weights, metric=METRIC) -> mk.estimators.Rows:
    """What is known where only `sites` are computed, in the metric."""
    channels, known = system.free_channels, system.free_force(x)
    free = mk.estimators.FreeRows(phi, x.shape, channels) if channels else None
    bought = (x, sites, weights, system.force_at(x, sites))
    return mk.estimators.known_rows(phi, *bought, metric=metric, free=free, known=known)


def direction(name: str, phi: mk.Closure, x, sites, weights, g) -> jax.Array:
    """S g − b as its definition says: half the gradient of the loss, with dense matrices."""
    jacobian = jax.jacrev(phi.encode)(x).reshape(4, -1)
    lift = jacobian.T @ jnp.linalg.inv(jacobian @ jacobian.T)
    # D_I of all coordinates: what a site's draws weigh together; 1 where the channel is free.
    drawn = jnp.zeros(RING.num_sites).at[sites].add(weights)
    D = jnp.stack([jnp.ones(RING.num_sites), drawn], axis=1).reshape(-1)
    f = RING.force(x).reshape(-1)
    if name == "lifted":
        return jax.grad(lambda g: (D * (f - lift @ g) ** 2).sum())(g) / 2
    if name == "difference":  # ŷ = g + J D (f − A g)
        return METRIC * -(jacobian @ (D * (f - lift @ g)))
    target = jacobian @ (f if name == "exact" else D * f)
    return jax.grad(lambda g: (METRIC * (target - g) ** 2).sum())(g) / 2


# --- identities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLOSURES)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_direction_is_that_of_the_definition(name: str, kind: str, double) -> None:
    @eqx.filter_jit
    def both(phi: mk.Closure, x: jax.Array, g: jax.Array) -> tuple:
        sites, weights = EVERYWHERE, jnp.ones(12)
        if name in PARTIAL:
            sites, weights = DESIGNS["with-replacement"]().draw(RING, x, 7, key=KEY)
        S, b, _ = ESTIMATORS[name]()(rows(RING, phi, x, sites, weights))
        return S @ g - b, direction(name, phi, x, sites, weights, g)

    for seed in range(3):
        phi, x = closure(RING, kind, seed=seed), state(RING, seed=seed)
        ours, expected = both(phi, x, jnp.asarray(np.random.default_rng(seed).normal(size=4)))
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["exact", "lifted", "direct"])
def test_the_constant_makes_a_loss_of_it(name: str, double) -> None:
    """gᵀS g − 2bᵀg + c is the loss of the definition, not only its gradient."""

    @eqx.filter_jit
    def both(phi: mk.Closure, x: jax.Array, g: jax.Array) -> tuple:
        sites, weights = DESIGNS["with-replacement"]().draw(RING, x, 7, key=KEY)
        if name == "exact":
            sites, weights = EVERYWHERE, jnp.ones(12)
        known = rows(RING, phi, x, sites, weights)
        S, b, c = ESTIMATORS[name]()(known)
        residual = known.force - known.lift().T @ g
        if name == "lifted":
            return g @ S @ g - 2 * b @ g + c, (known.weights * residual**2).sum()
        target = known.jacobian @ (known.weights * known.force)
        return g @ S @ g - 2 * b @ g + c, (METRIC * (target - g) ** 2).sum()

    ours, loss = both(closure(RING), state(RING), jnp.asarray([0.3, -1.0, 2.0, 0.5]))
    np.testing.assert_allclose(ours, loss, rtol=1e-10)


def test_difference_in_the_metric_of_the_lift_is_lifted(double) -> None:
    """M⁻¹ K = RᵀR and M⁻¹ h = Rᵀq: one noise, two metrics."""

    @eqx.filter_jit
    def both(phi: mk.Closure, x: jax.Array) -> tuple:
        sites, weights = DESIGNS["stratified"]().draw(RING, x, 5, key=KEY)
        known = rows(RING, phi, x, sites, weights, metric=jnp.ones(4))
        return ESTIMATORS["difference"]()(known), ESTIMATORS["lifted"]()(known), known.gram

    (K, h, _), (S, b, _), gram = both(closure(RING), state(RING))
    np.testing.assert_allclose(np.linalg.solve(gram, K), S, atol=1e-9)
    np.testing.assert_allclose(np.linalg.solve(gram, h), b, atol=1e-9)
    assert np.linalg.eigvals(np.asarray(K)).real.min() > -1e-9  # following K g − h is stable


@pytest.mark.parametrize("kind", CLOSURES)
def test_a_few_rows_say_what_all_free_rows_say(kind: str, double) -> None:
    """The products of the columns of J with each other and with the force, and |f|²."""
    phi, x = closure(RING, kind, seed=3), state(RING, seed=3)
    known = RING.free_force(x)
    columns, f = mk.estimators.FreeRows(phi, x.shape, (0,))(phi, x, known)
    every = phi.jacobian(x)[:, :, (0,)].reshape(4, -1)
    assert columns.shape[1] == len(f) < 12
    np.testing.assert_allclose(columns @ columns.T, every @ every.T, atol=1e-12)
    np.testing.assert_allclose(columns @ f, every @ known.reshape(-1), atol=1e-12)
    np.testing.assert_allclose(f @ f, (known**2).sum(), rtol=1e-12)


def test_free_channels_enter_on_every_site() -> None:
    phi, x = closure(RING), states(RING, 5)
    assert mk.sample(RING, x, fraction=0.5, key=KEY).free == (0,)
    # The more is known, the less noise; the forces paid for are the same.
    spreads = []
    for free in (True, False):
        bought = [
            mk.sample(RING, x, fraction=0.5, free=free, key=jax.random.key(i)) for i in range(50)
        ]
        assert {snapshots.forces for snapshots in bought} == {30}
        b = [np.asarray(mk.label(mk.estimators.Direct(), phi, s).b) for s in bought]
        spreads.append(np.std(b, axis=0).mean())
    assert 0.2 < spreads[0] / spreads[1] < 0.9


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
    exact = mk.label(ESTIMATORS["exact"](), phi, snapshots, spread=jnp.ones(4))
    lifted = mk.label(ESTIMATORS["lifted"](), phi, snapshots)
    gram = np.asarray(jax.jit(jax.vmap(lambda x: phi.gram(x)))(x))
    np.testing.assert_allclose(lifted.z, exact.z, rtol=1e-14)
    np.testing.assert_allclose(gram @ np.asarray(lifted.S), exact.S, atol=1e-10)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", gram, lifted.b), exact.b, rtol=1e-9)


# --- statistics ----------------------------------------------------------------------------------


def shipped() -> tuple:
    """The paper's system with its 100 sites, the closure that ships, and a state on the way."""
    full, _ = mk.experiments.example_snapshots("predator-prey")
    x = jnp.asarray(np.asarray(full.x[40], float))
    return mk.systems.PredatorPrey(), mk.pretrained("predator-prey"), x, 20


def small(system: mk.systems.AbstractSystem) -> tuple:
    return system, closure(system), state(system), system.num_sites // 2


CASES = {
    "predator-prey": shipped,
    "allen-cahn": functools.partial(small, mk.systems.AllenCahn(6, epsilon=0.2)),
    "ring": functools.partial(small, RING),
    "linear": functools.partial(small, Linear()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("design", DESIGNS)
def test_unbiased_and_as_noisy_as_is_said(case: str, design: str, double) -> None:
    """S and b over 10,000 redraws: their means, and the variance that the design predicts."""
    system, phi, x, number = CASES[case]()
    design_name, design = design, DESIGNS[design]()
    everywhere = jnp.arange(system.num_sites)
    scale = phi.gram(x).diagonal() ** -0.5  # of one size, so that one tolerance serves all

    def flat(sites: jax.Array, weights: jax.Array) -> jax.Array:
        """S and b of all estimators, which share what is expensive."""
        known = rows(system, phi, x, sites, weights, metric=scale**2)
        parts = (part for name in PARTIAL for part in ESTIMATORS[name]()(known)[:2])
        return jnp.concatenate([part.reshape(-1) for part in parts])

    @jax.jit
    def redraw(keys: jax.Array) -> tuple:
        draws = jax.vmap(lambda key: flat(*design.draw(system, x, number, key=key)))(keys)
        full = flat(everywhere, jnp.ones(system.num_sites))
        # One site at a time, with weight 1 and without the free rows: what that site adds.
        nothing = flat(everywhere[:1], jnp.zeros(1))
        each = jax.vmap(lambda site: flat(site[None], jnp.ones(1)))(everywhere) - nothing[None]
        return draws, full, design.variance(system, x, number, each)

    found = redraw(jax.random.split(jax.random.key(3), 10_000))
    found = (np.split(np.asarray(a, np.float64), len(PARTIAL), axis=-1) for a in found)
    for name, draws, full, said in zip(PARTIAL, *found, strict=True):
        varies = said > 1e-8 * said.max()  # the S of `Direct` does not
        assert varies.any(), name
        np.testing.assert_allclose(
            draws.mean(axis=0)[~varies],
            full[~varies],
            rtol=1e-5,
            atol=1e-5 * np.abs(full).max(),
            err_msg=name,
        )
        draws, full, said = draws[:, varies], full[varies], said[varies]
        z = (draws.mean(axis=0) - full) / (draws.std(axis=0) / np.sqrt(len(draws)))
        assert 0.2 < np.abs(z).max() < 4, name
        variance = draws.var(axis=0)
        if design_name == "systematic":  # its few samples are equally likely: enumerate them
            variance = np.unique(draws.round(5), axis=0).var(axis=0)
        rtol = 0.05 if case == "linear" else 0.1
        np.testing.assert_allclose(variance, said, rtol=rtol, err_msg=name)


# --- label ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
def test_labels_of_every_system(system: str) -> None:
    system = SYSTEMS[system]()
    x, phi = states(system, 5), closure(system)
    for name, build in ESTIMATORS.items():
        snapshots = mk.sample(system, x, fraction=0.5 if name in PARTIAL else 1.0, key=KEY)
        labels = mk.label(build(), phi, snapshots)
        d = len(system.observable(x[0])) + 2
        assert (labels.z.shape, labels.S.shape, labels.b.shape) == ((5, d), (5, d, d), (5, d))
        assert int(labels.count) == 5

        z = jax.jit(jax.vmap(lambda x: phi.encode(x)))(x)
        metric = jnp.asarray(1 / np.var(z, axis=0))
        arrays = (x, snapshots.sites, snapshots.weights)
        if isinstance(system, mk.systems.HostSystem):  # NumPy: the same system in JAX
            system = mk.systems.PredatorPrey(nodes=6)
        known = eqx.filter_jit(eqx.filter_vmap(functools.partial(rows, system, phi, metric=metric)))
        S, b, c = jax.vmap(build())(known(*arrays))
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


def test_a_site_that_is_named_twice_counts_once() -> None:
    x = states(RING, 3)
    whole = mk.sample(RING, x, key=KEY)
    twice = np.concatenate([whole.sites, whole.sites[:, :3]], axis=1)
    again = mk.Snapshots(
        whole.x,
        twice,
        np.take_along_axis(np.asarray(whole.force), twice[..., None], axis=1),
        np.where((twice < 3), 0.5, 1.0).astype(np.float32),
    )
    once, same = (mk.label(mk.estimators.Exact(), closure(RING), own) for own in (whole, again))
    np.testing.assert_allclose(same.b, once.b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spread", [0.0, -1.0, np.nan])
def test_a_spread_that_is_none_is_refused(spread: float) -> None:
    snapshots = mk.sample(RING, states(RING, 3), key=KEY)
    with pytest.raises(ValueError, match=r"spread must be positive, one number or 4, but got"):
        mk.label(mk.estimators.Exact(), closure(RING), snapshots, spread=spread)


def test_a_label_that_is_not_finite_is_named() -> None:
    snapshots = mk.sample(RING, states(RING, 3), key=KEY)
    phi = closure(RING)
    broken = eqx.tree_at(lambda c: c.encoder.weight, phi, phi.encoder.weight.at[0, 3].set(jnp.nan))
    with pytest.raises(ValueError, match=r"label of snapshot 0 is not finite\. Look for"):
        mk.label(mk.estimators.Exact(), broken, snapshots)


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
