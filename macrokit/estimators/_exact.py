from jaxtyping import Array, Float

from .._types import Macro
from ._abstract import AbstractEstimator, Rows
from ._direct import Direct


class Exact(AbstractEstimator):
    """L_z = |y − g(z)|²_W with y = J f, so S = W, b = W y and c = |y|²_W. Needs every force.

    Source: Chen & Li 2024, eq. 5, with W = 1.
    """

    def __call__(self, rows: Rows) -> tuple[Float[Array, "d d"], Macro, Float[Array, ""]]:
        # The direct estimate from all sites: each weighs 1, or together so if it is there twice.
        return Direct()(rows)

    def check(self, drawn: int, total: int) -> None:
        if drawn != total:
            raise ValueError(
                f"The exact estimator needs the force on all {total} sites, but these snapshots "
                f"hold {drawn}. Sample with `fraction=1`, or use `Lifted()`, which accepts partial "
                "forces."
            )
