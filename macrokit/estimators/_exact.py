import jax.numpy as jnp
from jaxtyping import Array, Float

from .._closure import Closure
from .._types import DrawnForce, Macro, Sites, State, Weights
from ._abstract import AbstractEstimator


class Exact(AbstractEstimator):
    """L_z = |J f − g(z)|², so S = 1, b = J f and c = |J f|². Needs the force on every site.

    Source: Chen & Li 2024, eq. 5.
    """

    def __call__(
        self, closure: Closure, x: State, sites: Sites, weights: Weights, force: DrawnForce
    ) -> tuple[Float[Array, "d d"], Macro, Float[Array, ""]]:
        velocity = jnp.einsum("dnc,nc->d", closure.jacobian(x)[:, sites], force)
        return jnp.eye(len(velocity), dtype=velocity.dtype), velocity, velocity @ velocity

    def check(self, drawn: int, total: int) -> None:
        if drawn != total:
            raise ValueError(
                f"The exact estimator needs the force on all {total} sites, but these snapshots "
                f"hold {drawn}. Sample with `fraction=1`, or use `Lifted()`, which accepts partial "
                "forces."
            )
