import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Macro
from ._abstract import AbstractEstimator, Rows


class Lifted(AbstractEstimator):
    """L_{x,p} = |D_I^{1/2}(f − A g(z))|² on the known rows, A = Jᵀ M⁻¹.

    With D_I^{1/2} A_I = Q R and q = Qᵀ D_I^{1/2} f_I, the loss is |R g − q|² + const:
    S = RᵀR, b = Rᵀq, c = |D_I^{1/2} f_I|². Over redraws E S = M⁻¹ and E b = M⁻¹ J f, the values of
    the full loss L_x = |f − A g|². Factored by QR because the expanded quadratic form loses all
    its digits near the optimum in float32. Its metric is M⁻¹, whatever W.

    Source: Chen & Li 2024, eqs. 9–11.
    """

    def __call__(self, rows: Rows) -> tuple[Float[Array, "d d"], Macro, Float[Array, ""]]:
        root = jnp.sqrt(rows.weights)
        target = root * rows.force
        q_matrix, r = jnp.linalg.qr((rows.lift() * root[None]).T)
        q = q_matrix.T @ target
        return r.T @ r, r.T @ q, target @ target

    def check(self, drawn: int, total: int) -> None:
        pass
