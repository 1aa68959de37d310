"""Macroscopic models: what OnsagerNet guarantees, for random parameters, and which scaling keeps
it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import MACROS, SCALINGS, random_weights

from macrokit.macro import Affine, OnsagerNet, Structured

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
