import abc

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float, Int

from .._types import Macro


class Labels(eqx.Module):
    """What training sees of the data: z, S, b and a constant c, one of each per snapshot.

    The loss of a snapshot is gᵀS g − 2 bᵀg + c, half its gradient in g is S g − b (of the
    difference estimator, whose S is not symmetric, only the direction has a meaning). `count` of
    the rows are in use, the rest is room, so that data can grow without a change of shape.
    """

    z: Float[Array, "*members snapshots d"]
    S: Float[Array, "*members snapshots d d"]
    b: Float[Array, "*members snapshots d"]
    c: Float[Array, "*members snapshots"]
    count: Int[Array, " *members"]

    def padded(self, room: int) -> "Labels":
        """The same labels in arrays with `room` rows."""
        extra = room - self.z.shape[-2]
        if extra < 0:
            raise ValueError(f"{self.z.shape[-2]} labels do not fit in {room} rows.")

        def pad(a: Array) -> Array:
            axis = self.z.ndim - 2
            return jnp.pad(a, [(0, extra if i == axis else 0) for i in range(a.ndim)])

        return Labels(pad(self.z), pad(self.S), pad(self.b), pad(self.c), self.count)


class Rows(eqx.Module):
    """What one snapshot tells: the coordinates whose force is known, one row each.

    - `jacobian`: their columns of J. - `force`: f on them. - `weights`: w of a drawn coordinate, 1
      of one that is known on every site for nothing.
    - `gram`: M = J Jᵀ, of all coordinates. - `metric`: W, the weight of each macroscopic variable.
    """

    jacobian: Float[Array, "d rows"]
    force: Float[Array, " rows"]
    weights: Float[Array, " rows"]
    gram: Float[Array, "d d"]
    metric: Macro

    def lift(self) -> Float[Array, "d rows"]:
        """Aᵀ = M⁻¹ J on these rows."""
        return jsl.cho_solve((jnp.linalg.cholesky(self.gram), True), self.jacobian)


class AbstractEstimator(eqx.Module):
    """From the known forces of one snapshot to (S, b, c)."""

    @abc.abstractmethod
    def __call__(self, rows: Rows) -> tuple[Float[Array, "d d"], Macro, Float[Array, ""]]:
        """S, b and c of one snapshot."""

    @abc.abstractmethod
    def check(self, drawn: int, total: int) -> None:
        """Raise `ValueError` when `drawn` of `total` sites cannot serve this estimator."""
