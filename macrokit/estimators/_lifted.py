import jax.numpy as jnp
from jaxtyping import Array, Float

from .._closure import Closure
from .._types import DrawnForce, Macro, Sites, State, Weights
from ._abstract import AbstractEstimator


class Lifted(AbstractEstimator):
    """L_{x,p} = |D_I^{1/2}(f − A g(z))|² on the drawn sites, D_I = diag(1/π_i), A = Jᵀ M⁻¹.

    With D_I^{1/2} A_I = Q R and q = Qᵀ D_I^{1/2} f_I, the loss is |R g − q|² + const:
    S = RᵀR, b = Rᵀq, c = |D_I^{1/2} f_I|². Over redraws E S = M⁻¹ and E b = M⁻¹ J f, the values of
    the full loss L_x = |f − A g|². Factored by QR because the expanded quadratic form loses all
    its digits near the optimum in float32.

    Source: Chen & Li 2024, eqs. 9–11.
    """

    def __call__(
        self, closure: Closure, x: State, sites: Sites, weights: Weights, force: DrawnForce
    ) -> tuple[Float[Array, "d d"], Macro, Float[Array, ""]]:
        root = jnp.sqrt(weights)[:, None]
        columns = closure.lift(x)[:, sites] * root[None]
        lifted = columns.reshape(len(columns), -1).T
        target = (force * root).reshape(-1)
        q_matrix, r = jnp.linalg.qr(lifted)
        q = q_matrix.T @ target
        return r.T @ r, r.T @ q, target @ target

    def check(self, drawn: int, total: int) -> None:
        pass
