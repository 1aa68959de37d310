import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Macro
from ._abstract import AbstractEstimator, Rows


class Direct(AbstractEstimator):
    """|ŷ − g(z)|²_W with ŷ = J D_I f, the weighted sum of what is known: S = W, b = W ŷ.

    Unbiased, E ŷ = J f, for any design and any closure (Horvitz & Thompson 1952), and noisy: it
    learns nothing from what the model predicts already. The fair baseline for lifting.
    """

    def __call__(self, rows: Rows) -> tuple[Float[Array, "d d"], Macro, Float[Array, ""]]:
        velocity = rows.jacobian @ (rows.weights * rows.force)
        target = rows.metric * velocity
        return jnp.diag(rows.metric), target, velocity @ target

    def check(self, drawn: int, total: int) -> None:
        pass
