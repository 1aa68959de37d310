import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import Key, Macro
from ._abstract import AbstractMacro, Guarantee, check_positive, cosine


class OnsagerNet(AbstractMacro):
    """G(z) = −(M(z) + W(z)) ∇V(z) − α ∇V(z),   V(z) = β|z|² + ½|U(z) + Γz|²,

    with M = L Lᵀ ⪰ 0 (dissipation) and W = −Wᵀ (transport), so that V never grows along a
    trajectory: dV/dt = −∇Vᵀ(M + α)∇V ≤ 0. U and (L, W) are separate tanh networks.

    - `dim`: d. - `width`: hidden units of U; the network for L and W has twice as many.
    - `alpha`, `beta`: α, β > 0.

    Source: Yu, Tian, E & Li 2021 (OnsagerNet); sizes, α and β of Chen & Li's predator–prey code.
    """

    potential_net: eqx.nn.MLP
    matrix_net: eqx.nn.MLP
    gamma: Float[Array, "features d"]
    alpha: float
    beta: float
    dim: int

    def __init__(
        self, dim: int, width: int = 32, *, alpha: float = 0.01, beta: float = 0.1, key: Key
    ):
        potential_key, matrix_key, gamma_key = jax.random.split(key, 3)
        check_positive(alpha=alpha, beta=beta)
        self.dim = dim
        self.alpha, self.beta = alpha, beta
        self.potential_net = eqx.nn.MLP(dim, width, width, 2, jax.nn.tanh, key=potential_key)
        self.matrix_net = eqx.nn.MLP(dim, dim * dim, 2 * width, 2, jax.nn.tanh, key=matrix_key)
        bound = 1 / np.sqrt(dim)
        self.gamma = jax.random.uniform(gamma_key, (width, dim), minval=-bound, maxval=bound)

    def potential(self, z: Macro) -> Float[Array, ""]:
        """V(z)."""
        features = self.potential_net(z) + self.gamma @ z
        return self.beta * z @ z + 0.5 * features @ features

    def matrices(self, z: Macro) -> tuple[Float[Array, "d d"], Float[Array, "d d"]]:
        """M(z) = L Lᵀ and W(z) = −Wᵀ; L is the lower triangle of the network's output."""
        lower, antisymmetric = self._factors(z)
        return lower @ lower.T, antisymmetric

    def __call__(self, z: Macro) -> Macro:
        gradient = jax.grad(self.potential)(z)
        lower, antisymmetric = self._factors(z)
        transport = antisymmetric @ gradient
        return -(lower @ (lower.T @ gradient) + transport) - self.alpha * gradient

    def guarantee(self) -> Guarantee:
        return Guarantee(True, "the potential never grows, dV/dt ≤ 0")

    def violations(self, z: Macro, rate: Macro) -> dict[str, Float[Array, ""]]:
        """dV/dt/(|∇V||ż|)."""
        return {"dissipation": cosine(jax.grad(self.potential)(z), rate)}

    def _factors(self, z: Macro) -> tuple[Float[Array, "d d"], Float[Array, "d d"]]:
        square = self.matrix_net(z).reshape(self.dim, self.dim)
        upper = jnp.triu(square, 1)
        return jnp.tril(square), upper - upper.T
