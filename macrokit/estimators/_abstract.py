import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float, Int

from .._types import AnyArray, Macro


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

    def weighed(self, metric: Float[AnyArray, " d"]) -> "Labels":
        """Labels made with W = 1 in the metric W = diag(`metric`); not for the lifted estimator,
        whose metric is M⁻¹."""
        W = jnp.asarray(metric, self.b.dtype)[None]
        b = W * self.b
        return Labels(self.z, W[..., None] * self.S, b, (b * self.b).sum(axis=-1), self.count)

    def __getitem__(self, chosen: Int[AnyArray, " snapshots"]) -> "Labels":
        own = (np.asarray(a)[chosen] for a in (self.z, self.S, self.b, self.c))
        return Labels(*jax.device_put([*own, np.asarray(len(chosen), np.int32)]))


def joined(parts: Sequence[Labels]) -> Labels:
    """The labels of several blocks of snapshots as one."""
    whole = {
        name: jax.device_put(np.concatenate([np.asarray(getattr(p, name)) for p in parts]))
        for name in ("z", "S", "b", "c")
    }
    return Labels(**whole, count=jnp.asarray(len(whole["z"]), jnp.int32))


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
