"""Macroscopic models: what each guarantees, for random parameters, and which scaling keeps it."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import MACROS, SCALINGS, random_weights

from macrokit.macro import (
    GFINN,
    TABLE,
    Affine,
    Driven,
    OnsagerNet,
    SharedOnsagerNet,
    Structured,
    build,
)

POINTS = np.random.default_rng(0).normal(size=(50, 3))
SEEDS = range(4)


def field(name: str, seed: int):
    """A field on three variables with random weights, those of an untrained network or larger."""
    return random_weights(lambda: MACROS[name](3, key=jax.random.key(0)), seed=seed)


def scaling(kind: type, seed: int = 0):
    rng = np.random.default_rng(seed)
    centre, mean_rate = rng.normal(size=(2, 3))
    spread, rate = np.exp(rng.normal(size=(2, 3)))
    return kind(*(jnp.asarray(a) for a in (centre, spread, mean_rate, rate)))


# --- every model and scaling ---------------------------------------------------------------------


@pytest.mark.parametrize("name", MACROS)
def test_a_field_maps_z_to_its_rate(name: str) -> None:
    built = MACROS[name](3, key=jax.random.key(0))
    assert built.dim == 3
    rates = jax.jit(jax.vmap(lambda z: built(z)))(jnp.asarray(POINTS, jnp.float32))
    assert rates.shape == POINTS.shape
    assert np.isfinite(rates).all()
    assert np.std(rates, axis=0).min() > 1e-4
    other = MACROS[name](3, key=jax.random.key(1))
    assert not np.allclose(other(jnp.ones(3)), built(jnp.ones(3)))


@pytest.mark.parametrize("name", SCALINGS)
def test_a_scaling_is_data_and_not_a_parameter(name: str) -> None:
    def output(scaling, field) -> jax.Array:
        return scaling(field, jnp.asarray([0.3, -0.2, 1.0])).sum()

    gradients = eqx.filter_grad(output)(scaling(SCALINGS[name]), field("mlp", 0))
    for leaf in jax.tree.leaves(gradients):
        np.testing.assert_array_equal(leaf, 0)


def test_nothing_moves_in_no_direction() -> None:
    """Where the rate or a gradient vanishes there is no violation, and NaN is not hidden."""
    zero, nan = jnp.zeros(3), jnp.full(3, jnp.nan)
    for name in ("onsagernet", "shared-onsagernet", "gfinn"):
        violations = field(name, 0).violations(jnp.ones(3), zero)
        assert all(abs(float(v)) < 1e-6 for v in violations.values())
        assert any(np.isnan(v) for v in field(name, 0).violations(jnp.ones(3), nan).values())
    assert field("mlp", 0).violations(jnp.ones(3), nan) == {}


# --- scalings ------------------------------------------------------------------------------------


def test_affine_is_the_released_codes(double) -> None:
    """g(z) = σ_t ⊙ G((z − μ)/σ) + μ_t."""
    dressed, G = scaling(Affine), field("mlp", 0)
    z = jnp.asarray(POINTS[0])
    expected = dressed.rate * G((z - dressed.centre) / dressed.spread) + dressed.mean_rate
    np.testing.assert_allclose(dressed(G, z), expected, rtol=1e-14)


def test_structured_is_a_change_of_units(double) -> None:
    """g(z) = (σ/τ) ⊙ G((z − μ)/σ), with τ such that τ ż/σ has unit mean square."""
    dressed, G = scaling(Structured), field("mlp", 0)
    z = jnp.asarray(POINTS[0])
    expected = dressed.spread / dressed.time * G((z - dressed.centre) / dressed.spread)
    np.testing.assert_allclose(dressed(G, z), expected, rtol=1e-14)

    other = scaling(Affine)  # the same four statistics
    mean_square = (other.rate**2 + other.mean_rate**2) / other.spread**2
    np.testing.assert_allclose(dressed.time**2 * mean_square.mean(), 1, rtol=1e-12)


# --- OnsagerNet ----------------------------------------------------------------------------------


@eqx.filter_jit
def structure(net: OnsagerNet, z: jax.Array) -> tuple:
    gradient = jax.grad(net.potential)(z)
    return net.potential(z), gradient, *net.matrices(z), net(z)


@pytest.mark.parametrize("seed", SEEDS)
def test_dissipation_and_transport(seed: int, double) -> None:
    net = field("onsagernet", seed)
    V, gradient, M, W, G = eqx.filter_vmap(structure, in_axes=(None, 0))(net, jnp.asarray(POINTS))
    assert (np.linalg.eigvalsh(M) >= -1e-12).all()
    np.testing.assert_allclose(M, np.swapaxes(M, 1, 2), atol=1e-14)
    np.testing.assert_array_equal(W, -np.swapaxes(W, 1, 2))
    assert np.abs(M).max() > 0.1
    assert np.abs(W).max() > 0.1
    assert (net.beta * (POINTS**2).sum(axis=1) <= V).all()

    along = np.einsum("nij,nj->ni", np.asarray(M) + W, gradient) + net.alpha * np.asarray(gradient)
    np.testing.assert_allclose(G, -along, atol=1e-10)
    rate = (np.asarray(gradient) * G).sum(axis=1)
    assert (rate <= -net.alpha * (np.asarray(gradient) ** 2).sum(axis=1) * (1 - 1e-9)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_structured_scaling_keeps_the_guarantee(seed: int, double) -> None:
    """dV/dt of V((z − μ)/σ) along dz/dt = g(z)."""
    net = field("onsagernet", seed)

    @jax.jit
    def rates(u: jax.Array) -> tuple:
        def along(dressed, u: jax.Array) -> jax.Array:
            z = dressed.centre + dressed.spread * u
            gradient = jax.grad(net.potential)(u) / dressed.spread
            return gradient @ dressed(net, z)

        return along(scaling(Structured, seed), u), along(scaling(Affine, seed), u)

    kept, broken = jax.vmap(rates)(jnp.asarray(np.random.default_rng(1).normal(size=(2000, 3))))
    assert (kept < 0).all()
    assert (broken > 0).any()


def test_the_potential_as_published(double) -> None:
    """V = β|z|² + ½|U(z) + Γz|²."""
    net = field("onsagernet", 0)
    z = jnp.asarray(POINTS[1])
    features = np.asarray(net.potential_net(z)) + np.asarray(net.gamma) @ np.asarray(z)
    expected = 0.1 * (POINTS[1] ** 2).sum() + 0.5 * (features**2).sum()
    np.testing.assert_allclose(net.potential(z), expected, rtol=1e-12)


def test_sizes_as_published() -> None:
    net = eqx.filter_eval_shape(lambda: OnsagerNet(4, key=jax.random.key(0)))
    sizes = [
        [layer.weight.shape[::-1] for layer in mlp.layers]
        for mlp in (net.potential_net, net.matrix_net)
    ]
    assert sizes == [[(4, 32), (32, 32), (32, 32)], [(4, 64), (64, 64), (64, 16)]]
    assert (net.alpha, net.beta) == (0.01, 0.1)


# --- SharedOnsagerNet ----------------------------------------------------------------------------


def shared_net(seed: int, *, forcing: bool = True) -> SharedOnsagerNet:
    return random_weights(
        lambda: SharedOnsagerNet(3, 8, 3, forcing=forcing, key=jax.random.key(0)), seed=seed
    )


@pytest.mark.parametrize("forcing", [True, False])
def test_the_shared_trunk_is_the_published_field(forcing: bool, double) -> None:
    """Against G = −(M + W)∇V − α∇V + F, written out once more with a gradient of V by itself."""
    net = shared_net(0, forcing=forcing)

    def plain(z: jax.Array) -> jax.Array:
        def linear(layer, h: jax.Array) -> jax.Array:
            return layer.weight @ h + layer.bias

        def features(z: jax.Array) -> jax.Array:
            h = jnp.zeros(())
            for layer in net.trunk:
                s = linear(layer, z if h.ndim == 0 else h)
                activated = jnp.maximum(s, 0) ** 2 - jnp.maximum(s - 0.5, 0) ** 2
                h = activated if h.ndim == 0 else h + activated
            return h

        def potential(z: jax.Array) -> jax.Array:
            inner = linear(net.potential_head, features(z)) + net.gamma @ z
            return 0.1 * (z**2).sum() + (inner**2).sum()

        square = linear(net.matrix_head, features(z)).reshape(3, 3)
        lower, upper = jnp.tril(square), jnp.triu(square, 1)
        gradient = jax.grad(potential)(z)
        G = -(lower @ lower.T + upper - upper.T) @ gradient - 0.1 * gradient
        if forcing:
            G = G + linear(net.forcing_head, features(z))
        return jnp.append(G, potential(z))

    z = jnp.asarray(POINTS)
    expected = jax.jit(jax.vmap(plain))(z)
    np.testing.assert_allclose(jax.jit(jax.vmap(net))(z), expected[:, :3], rtol=1e-9)
    np.testing.assert_allclose(jax.jit(jax.vmap(net.potential))(z), expected[:, 3], rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_dissipation_and_transport_of_the_shared_trunk(seed: int, double) -> None:
    net = shared_net(seed, forcing=False)
    V, gradient, M, W, G = map(
        np.asarray, eqx.filter_vmap(structure, in_axes=(None, 0))(net, jnp.asarray(POINTS))
    )
    size = np.abs(M).max()
    assert (np.linalg.eigvalsh(M) >= -1e-12 * size).all()
    np.testing.assert_allclose(M, np.swapaxes(M, 1, 2), atol=1e-14 * size)
    np.testing.assert_array_equal(W, -np.swapaxes(W, 1, 2))
    assert min(size, np.abs(W).max()) > 0.1
    assert (net.beta * (POINTS**2).sum(axis=1) <= V).all()
    rate = (gradient * G).sum(axis=1)
    assert (rate <= -net.alpha * (gradient**2).sum(axis=1) * (1 - 1e-9)).all()


def test_a_forcing_may_raise_the_potential(double) -> None:
    net = shared_net(0)
    strong = eqx.tree_at(lambda n: n.forcing_head.bias, net, 1e3 * jnp.ones(3))
    along = jax.jit(jax.vmap(lambda z: strong.violations(z, strong(z))["dissipation"]))
    assert along(jnp.asarray(POINTS)).max() > 0.1
    assert not net.guarantee().holds
    assert shared_net(0, forcing=False).guarantee().holds


@pytest.mark.parametrize(
    ("name", "value"), [("onsagernet", "alpha"), ("shared-onsagernet", "beta"), ("gfinn", "beta")]
)
def test_a_guarantee_needs_positive_numbers(name: str, value: str) -> None:
    kind = type(build(name, 3, 8, key=jax.random.key(0)))
    for wrong in (0.0, -5.0):
        with pytest.raises(ValueError, match=rf"{value} must be positive, but got {wrong}\."):
            kind(3, 8, key=jax.random.key(0), **{value: wrong})


def test_a_trunk_has_a_layer() -> None:
    text = "The trunk must have a depth of at least 1 layer, but got 0."
    with pytest.raises(ValueError, match=text):
        SharedOnsagerNet(3, 8, 0, key=jax.random.key(0))


# --- GFINN ---------------------------------------------------------------------------------------


@eqx.filter_jit
def generic(net: GFINN, z: jax.Array) -> tuple:
    gradients = jax.grad(net.energy)(z), jax.grad(net.entropy)(z)
    return *gradients, *net.matrices(z), net(z)


@pytest.mark.parametrize("seed", SEEDS)
def test_degeneracy(seed: int, double) -> None:
    """L = −Lᵀ, M ⪰ 0, L∇S = 0 and M∇E = 0, and G = L∇E + M∇S."""
    net = field("gfinn", seed)
    dE, dS, L, M, G = map(
        np.asarray, eqx.filter_vmap(generic, in_axes=(None, 0))(net, jnp.asarray(POINTS))
    )

    def times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
        return np.einsum("nij,nj->ni", matrix, vector)

    for matrix in (L, M):
        assert np.linalg.norm(matrix, axis=(1, 2)).min() > 1e-3
    size = np.linalg.norm(M, axis=(1, 2)).max()
    np.testing.assert_allclose(L, -np.swapaxes(L, 1, 2), atol=1e-12 * np.abs(L).max())
    np.testing.assert_allclose(M, np.swapaxes(M, 1, 2), atol=1e-12 * size)
    assert (np.linalg.eigvalsh(M) >= -1e-12 * size).all()

    for matrix, gradient in ((L, dS), (M, dE)):
        away = np.linalg.norm(times(matrix, gradient), axis=1)
        scale = np.linalg.norm(matrix, axis=(1, 2)) * np.linalg.norm(gradient, axis=1)
        assert (away <= 1e-12 * scale).all()
    expected = times(L, dE) + times(M, dS)
    np.testing.assert_allclose(G, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("seed", SEEDS)
def test_energy_and_entropy_along_the_scaled_field(seed: int, double) -> None:
    """d/dt of E((z − μ)/σ) and S((z − μ)/σ) along dz/dt = g(z)."""
    net = field("gfinn", seed)

    @jax.jit
    def rates(u: jax.Array) -> tuple:
        def along(dressed, u: jax.Array) -> tuple:
            rate = dressed(net, dressed.centre + dressed.spread * u) / dressed.spread
            dE, dS = jax.grad(net.energy)(u), jax.grad(net.entropy)(u)
            size = jnp.linalg.norm(rate)
            return dE @ rate / jnp.linalg.norm(dE) / size, dS @ rate / jnp.linalg.norm(dS) / size

        return along(scaling(Structured, seed), u), along(scaling(Affine, seed), u)

    points = jnp.asarray(np.random.default_rng(1).normal(size=(500, 3)))
    (energy, entropy), (energy_lost, entropy_lost) = jax.vmap(rates)(points)
    np.testing.assert_allclose(energy, 0, atol=1e-10)
    assert (entropy >= -1e-10).all()
    assert entropy.max() > 1e-3
    assert np.abs(energy_lost).max() > 0.1
    assert entropy_lost.min() < -0.1


@pytest.mark.parametrize("name", ["gfinn", "shared-onsagernet"])
@pytest.mark.parametrize("dim", [8, 32])
def test_an_untrained_field_is_of_order_one(name: str, dim: int) -> None:
    """As is what it has to learn, the rate of standardised variables."""
    field = TABLE[name](dim, 64, key=jax.random.key(0))
    z = jnp.asarray(np.random.default_rng(0).normal(size=(200, dim)), jnp.float32)
    size = np.sqrt(np.mean(np.asarray(jax.jit(jax.vmap(lambda z: field(z)))(z)) ** 2))
    assert 0.1 < size < 3


def test_the_rank_is_that_of_the_matrices(double) -> None:
    net = random_weights(lambda: GFINN(5, 8, rank=2, key=jax.random.key(0)))
    L, M = net.matrices(jnp.ones(5))
    assert [np.linalg.matrix_rank(a) for a in (L, M)] == [2, 2]
    shapes = eqx.filter_eval_shape(lambda: GFINN(32, 256, key=jax.random.key(0)))
    assert shapes.annihilators.shape == (2, 16, 32, 32)
    assert [layer.weight.shape for layer in shapes.matrix_net.layers] == [
        (256, 32),
        (256, 256),
        (256, 256),
        (512, 256),
    ]


@pytest.mark.parametrize(("dim", "rank"), [(1, 1), (3, 0)])
def test_one_variable_cannot_move(dim: int, rank: int) -> None:
    text = rf"a rank of at least 1, but got dim={dim} and rank={rank}\. Use an OnsagerNet"
    with pytest.raises(ValueError, match=text):
        GFINN(dim, rank=rank, key=jax.random.key(0))


# --- Driven --------------------------------------------------------------------------------------


def driven(dim: int, leading: int, seed: int = 0):
    build = partial(Driven, dim, leading, 8, field=OnsagerNet, key=jax.random.key(0))
    return random_weights(build, seed=seed)


def test_leading_variables_evolve_by_themselves(double) -> None:
    field, z = driven(5, 2), jnp.asarray(np.random.default_rng(0).normal(size=5))
    jacobian = jax.jacobian(field)(z)
    np.testing.assert_array_equal(jacobian[:, 2:], 0)
    assert np.abs(np.asarray(jacobian[:, :2])).min() > 1e-4
    np.testing.assert_array_equal(field(z)[:2], field.field(z[:2]))


def test_driven_variables_take_no_guarantee_away(double) -> None:
    field, z = driven(5, 2), jnp.asarray(np.random.default_rng(0).normal(size=5))
    holds, sentence = field.guarantee()
    assert holds
    assert sentence.endswith("(of the 2 leading variables)")
    assert field.violations(z, field(z))["dissipation"] <= 0
    assert not build("mlp", 5, 8, leading=2, key=jax.random.key(0)).guarantee().holds


def test_depth_and_the_released_codes_network() -> None:
    def layers(*settings) -> int:
        return len(build(*settings, key=jax.random.key(0)).net.layers)

    assert [layers("mlp", 5, 8), layers("mlp", 5, 8, 4)] == [3, 5]
    rectified = build("relu-mlp", 5, 8, key=jax.random.key(0))
    assert rectified.net.activation is jax.nn.relu
    assert "relu-mlp" not in TABLE  # not for use


@pytest.mark.parametrize("leading", [0, 5, 6])
def test_some_variables_lead_and_some_are_driven(leading: int) -> None:
    message = f"Of 5 variables 1 to 4 can lead, but got leading={leading}. Where all of them do"
    with pytest.raises(ValueError, match=message):
        build("mlp", 5, 8, leading=leading, key=jax.random.key(0))
