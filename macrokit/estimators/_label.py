import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._closure import Closure, encode_states, together
from .._sampling import Snapshots
from .._types import AnyArray, DrawnForce, Macro, Sites, State, Weights
from ._abstract import AbstractEstimator, Labels, Rows


def label(
    estimator: AbstractEstimator,
    closure: Closure,
    snapshots: Snapshots,
    *,
    spread: Float[AnyArray, " d"] | float | None = None,
) -> Labels:
    """(z, S, b, c) of every snapshot.

    - `estimator`: one of `macrokit.estimators`. - `closure`: a trained closure.
    - `snapshots`: states, and the forces bought on some of their sites.
    - `spread`: σ of the macroscopic variables, for the metric W = 1/σ² (no force is needed for
      it); by default that of these snapshots. 1.0 gives W = 1, as in the released code.

    Raises `ValueError` when the estimator cannot work with so few sites, or when the closure was
    made for states of another shape.
    """
    total = snapshots.x.shape[1]
    estimator.check(int(snapshots.distinct.min()), total)
    size, expected = math.prod(snapshots.x.shape[1:]), closure.encoder.weight.shape[1]
    if size != expected:
        raise ValueError(
            f"The closure encodes states of {expected} numbers, but these snapshots have "
            f"{snapshots.x.shape[1]} sites × {snapshots.x.shape[2]} channels = {size}. "
            "Train a closure on states of this system."
        )
    z = encode_states(closure, snapshots.x)
    spread = np.asarray(z).std(axis=0) if spread is None else np.broadcast_to(spread, z.shape[1:])
    # What does not vary, or is one snapshot only, has no unit of its own.
    metric = np.where(spread > 0, spread, 1).astype(z.dtype) ** -2
    S, b, c = _label(estimator, closure, snapshots, jax.device_put(metric))
    return Labels(z, S, b, c, jnp.asarray(len(snapshots), jnp.int32))


def known_rows(
    closure: Closure,
    x: State,
    sites: Sites,
    weights: Weights,
    force: DrawnForce,
    *,
    metric: Macro,
    free: tuple[int, ...] = (),
    known: Float[Array, "sites free"] | None = None,
) -> Rows:
    """The rows of one snapshot: every site of the free channels, the drawn sites of the others."""
    paid = tuple(channel for channel in range(x.shape[1]) if channel not in free)
    columns = [closure.jacobian_at(x, sites)[:, :, paid].reshape(len(metric), -1)]
    forces = [force[:, paid].reshape(-1)]
    weighed = [jnp.repeat(weights, len(paid))]
    if free:
        columns.append(closure.jacobian(x)[:, :, free].reshape(len(metric), -1))
        forces.append(known.reshape(-1))
        weighed.append(jnp.ones(known.size, x.dtype))
    return Rows(
        jnp.concatenate(columns, axis=1),
        jnp.concatenate(forces),
        jnp.concatenate(weighed),
        closure.gram(x),
        metric,
    )


@eqx.filter_jit
def _label(
    estimator: AbstractEstimator, closure: Closure, snapshots: Snapshots, metric: Array
) -> tuple:
    def one(snapshot: tuple[Array, ...]) -> tuple[Array, ...]:
        *drawn, known = snapshot
        free = snapshots.free
        return estimator(known_rows(closure, *drawn, metric=metric, free=free, known=known))

    arrays = (snapshots.x, snapshots.sites, snapshots.weights, snapshots.force, snapshots.known)
    # In blocks, so that no (snapshots, d, N) array ever exists.
    rows = snapshots.x[0].size + len(metric) * math.prod(snapshots.force.shape[1:])
    return jax.lax.map(one, arrays, batch_size=together(len(snapshots), rows))
