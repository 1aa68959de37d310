from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.nn.initializers import glorot_uniform, orthogonal
from jaxtyping import Array, Float

from .._types import Key, Macro
from ._abstract import AbstractMacro, Guarantee, check_positive, cosine


class SharedOnsagerNet(AbstractMacro):
    """G(z) = −(M(z) + W(z)) ∇V(z) − α ∇V(z) + F(z),   V(z) = β|z|² + |U(z) + Γz + c|²,

    with M = L Lᵀ ⪰ 0 and W = −Wᵀ. U, (L, W) and F are linear in the features h of one trunk,
    h₁ = σ(A₁z + a₁), hᵢ = hᵢ₋₁ + σ(Aᵢhᵢ₋₁ + aᵢ), σ(s) = relu(s)² − relu(s − ½)².

    With the forcing F there is no dissipation guarantee: F may raise V. Without it V never grows
    along a trajectory: dV/dt = −∇Vᵀ(M + α)∇V ≤ 0.

    - `dim`: d. - `width`, `depth`: number of features, layers of the trunk.
    - `alpha`, `beta`: α, β > 0. - `forcing`: whether there is an F.

    Source: Yu, Tian, E & Li 2021 (OnsagerNet); α, β, σ and the size of the initial weights are
    those of Chen & Li's Lennard-Jones code. Raises `ValueError` without a layer.
    """

    trunk: tuple[eqx.nn.Linear, ...]
    matrix_head: eqx.nn.Linear
    potential_head: eqx.nn.Linear
    forcing_head: eqx.nn.Linear | None
    gamma: Float[Array, "d d"]
    alpha: float
    beta: float
    dim: int

    def __init__(
        self,
        dim: int,
        width: int = 64,
        depth: int = 3,
        *,
        alpha: float = 0.1,
        beta: float = 0.1,
        forcing: bool = True,
        key: Key,
    ):
        if depth < 1:
            raise ValueError(f"The trunk must have a depth of at least 1 layer, but got {depth}.")
        glorot, rotation = glorot_uniform(), orthogonal()
        trunk_key, matrix_key, bias_key, potential_key, forcing_key, gamma_key = jax.random.split(
            key, 6
        )
        check_positive(alpha=alpha, beta=beta)
        self.dim = dim
        self.alpha, self.beta = alpha, beta
        self.trunk = tuple(
            _linear(
                glorot, width if layer else dim, width, key=jax.random.fold_in(trunk_key, layer)
            )
            for layer in range(depth)
        )
        # An orthogonal matrix as bias: whatever the small weights say, M + W starts at order one.
        head = _linear(glorot, width, dim * dim, key=matrix_key)
        bias = rotation(bias_key, (dim, dim)).reshape(-1)
        self.matrix_head = eqx.tree_at(lambda linear: linear.bias, head, bias)
        self.potential_head = _linear(rotation, width, dim, key=potential_key)
        self.forcing_head = _linear(rotation, width, dim, key=forcing_key) if forcing else None
        self.gamma = 0.1 * rotation(gamma_key, (dim, dim))

    def potential(self, z: Macro) -> Float[Array, ""]:
        """V(z)."""
        outputs = self.potential_head(self._features(z)) + self.gamma @ z
        return self.beta * z @ z + outputs @ outputs

    def matrices(self, z: Macro) -> tuple[Float[Array, "d d"], Float[Array, "d d"]]:
        """M(z) = L Lᵀ and W(z) = −Wᵀ; L is the lower triangle of the head's output."""
        lower, upper = self._triangles(self._features(z))
        return lower @ lower.T, upper - upper.T

    def __call__(self, z: Macro) -> Macro:
        # The trunk is most of the work: once forward for all heads, and once back for ∇V.
        features, pull_back = jax.vjp(self._features, z)
        outputs = self.potential_head(features) + self.gamma @ z
        (through,) = pull_back(2 * outputs @ self.potential_head.weight)
        gradient = through + 2 * outputs @ self.gamma + 2 * self.beta * z
        lower, upper = self._triangles(features)
        transport = upper @ gradient - gradient @ upper
        G = -(lower @ (gradient @ lower) + transport) - self.alpha * gradient
        return G if self.forcing_head is None else G + self.forcing_head(features)

    def guarantee(self) -> Guarantee:
        if self.forcing_head is None:
            return Guarantee(True, "the potential never grows, dV/dt ≤ 0")
        return Guarantee(False, "the forcing may raise the potential")

    def violations(self, z: Macro, rate: Macro) -> dict[str, Float[Array, ""]]:
        """dV/dt/(|∇V||ż|)."""
        return {"dissipation": cosine(jax.grad(self.potential)(z), rate)}

    def _features(self, z: Macro) -> Float[Array, " width"]:
        first, *others = self.trunk
        features = _activation(first(z))
        for layer in others:
            features = features + _activation(layer(features))
        return features

    def _triangles(
        self, features: Float[Array, " width"]
    ) -> tuple[Float[Array, "d d"], Float[Array, "d d"]]:
        square = self.matrix_head(features).reshape(self.dim, self.dim)
        return jnp.tril(square), jnp.triu(square, 1)


def _activation(s: Array) -> Array:
    return jax.nn.relu(s) ** 2 - jax.nn.relu(s - 0.5) ** 2


def _linear(initial: Callable, inputs: int, outputs: int, *, key: Key) -> eqx.nn.Linear:
    """With a tenth of the weights that `initial` draws, and biases from 0 to 0.1."""
    weight_key, bias_key = jax.random.split(key)
    shapes = eqx.nn.Linear(inputs, outputs, key=key)
    return eqx.tree_at(
        lambda linear: (linear.weight, linear.bias),
        shapes,
        (
            0.1 * initial(weight_key, (outputs, inputs)),
            jax.random.uniform(bias_key, (outputs,), maxval=0.1),
        ),
    )
