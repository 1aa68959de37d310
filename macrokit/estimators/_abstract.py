import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._closure import Closure
from .._types import DrawnForce, Macro, Sites, State, Weights


class Labels(eqx.Module):
    """What training sees of the data: z, S, b and a constant c, one of each per snapshot.

    The loss of a snapshot is gᵀS g − 2 bᵀg + c, half its gradient in g is S g − b. `count` of the
    rows are in use, the rest is room, so that data can grow without a change of shape.
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


class AbstractEstimator(eqx.Module):
    """From the forces of one snapshot to (S, b, c)."""

    @abc.abstractmethod
    def __call__(
        self, closure: Closure, x: State, sites: Sites, weights: Weights, force: DrawnForce
    ) -> tuple[Float[Array, "d d"], Macro, Float[Array, ""]]:
        """S, b and c of one snapshot."""

    @abc.abstractmethod
    def check(self, drawn: int, total: int) -> None:
        """Raise `ValueError` when `drawn` of `total` sites cannot serve this estimator."""
