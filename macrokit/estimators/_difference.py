from jaxtyping import Array, Float

from .._types import Macro
from ._abstract import AbstractEstimator, Rows


class Difference(AbstractEstimator):
    """ŷ = g + J D_I (f − A g), the difference estimator with the lifted prediction A g as control.

    With K = J D_I A and h = J D_I f it is g − ŷ = K g − h, so S = W K and b = W h: the noise of
    `Lifted`, in the metric W instead of M⁻¹. E K = 1 and E h = J f. S is not symmetric, so there
    is no scalar loss; following S g − b is stable because the eigenvalues of K are not negative.

    Source: the difference estimator of survey sampling (Särndal, Swensson & Wretman 1992, ch. 6).
    """

    def __call__(self, rows: Rows) -> tuple[Float[Array, "d d"], Macro, Float[Array, ""]]:
        weighted = rows.jacobian * rows.weights[None]
        velocity = weighted @ rows.force
        target = rows.metric * velocity
        return rows.metric[:, None] * (weighted @ rows.lift().T), target, velocity @ target

    def check(self, drawn: int, total: int) -> None:
        pass
