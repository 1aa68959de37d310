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
    made for states of another shape, for a `spread` that is not positive, or when a label is not
    finite.
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
    if spread is not None and not (np.asarray(spread) > 0).all():
        raise ValueError(
            f"spread must be positive, one number or {z.shape[1]}, but got {spread}. Leave it out "
            "for that of these snapshots."
        )
    spread = np.asarray(z).std(axis=0) if spread is None else np.broadcast_to(spread, z.shape[1:])
    # What does not vary, or is one snapshot only, has no unit of its own.
    metric = np.where(spread > 0, spread, 1).astype(z.dtype) ** -2
    S, b, c = _label(estimator, closure, snapshots, jax.device_put(metric))
    finite = np.isfinite(S).all(axis=(1, 2)) & np.isfinite(b).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"The label of snapshot {int(np.argmin(finite))} is not finite. Look for numbers that "
            "are not finite in its state, its forces and the closure, or for variables of the "
            "closure that depend on each other (κ(M))."
        )
    return Labels(z, S, b, c, jnp.asarray(len(snapshots), jnp.int32))


class FreeRows(eqx.Module):
    """The rows of the free channels of all sites as a few rows that tell the same.

    Their columns of J are k′(h) W of the learned variables and ∇z*. With an orthonormal basis Q of
    the columns of Wᵀ, made once, and one of what ∇z* has beyond it, all products of these columns
    with each other and with the force are those of their components, some d numbers for each
    instead of one for every site. One more row holds what the force has beyond both, which counts
    in the constant c only.

    - `channels`: the free ones. - `basis`: Q. - `factor`: R of Wᵀ = Q R.
    """

    basis: Float[Array, "numbers rank"]
    factor: Float[Array, "rank hidden"]
    channels: tuple[int, ...]

    def __init__(self, closure: Closure, shape: tuple[int, ...], channels: tuple[int, ...]):
        weight = closure.encoder.weight.reshape(-1, *shape)[:, :, channels]
        self.basis, self.factor = jnp.linalg.qr(weight.reshape(len(weight), -1).T)
        self.channels = channels

    def __call__(
        self, closure: Closure, x: State, force: Float[Array, "sites free"]
    ) -> tuple[Float[Array, "d rows"], Float[Array, " rows"]]:
        """Columns of J, and the force, of the few rows."""
        Q, f = self.basis, force.reshape(-1)
        gradients = closure.observable_jacobian(x)[:, :, self.channels]
        gradients = gradients.reshape(len(gradients), -1)
        inside = gradients @ Q
        beyond, rest = jnp.linalg.qr((gradients - inside @ Q.T).T)
        learned = closure.encoder.head_jacobian(x) @ self.factor.T
        columns = jnp.block([[inside, rest.T], [learned, jnp.zeros((len(learned), len(rest)))]])
        known = jnp.concatenate([f @ Q, f @ beyond])
        lost = jnp.sqrt(jnp.maximum(f @ f - known @ known, 0))
        return jnp.pad(columns, [(0, 0), (0, 1)]), jnp.append(known, lost)


def known_rows(
    closure: Closure,
    x: State,
    sites: Sites,
    weights: Weights,
    force: DrawnForce,
    *,
    metric: Macro,
    free: FreeRows | None = None,
    known: Float[Array, "sites free"] | None = None,
) -> Rows:
    """The rows of one snapshot: every site of the free channels, the drawn sites of the others."""
    channels = () if free is None else free.channels
    paid = tuple(channel for channel in range(x.shape[1]) if channel not in channels)
    columns = [closure.jacobian_at(x, sites)[:, :, paid].reshape(len(metric), -1)]
    forces = [force[:, paid].reshape(-1)]
    weighed = [jnp.repeat(weights, len(paid))]
    if free is not None:
        few, f = free(closure, x, known)
        columns.append(few)
        forces.append(f)
        weighed.append(jnp.ones(len(f), x.dtype))
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
    free = FreeRows(closure, snapshots.x.shape[1:], snapshots.free) if snapshots.free else None

    def one(snapshot: tuple[Array, ...]) -> tuple[Array, ...]:
        *drawn, known = snapshot
        return estimator(known_rows(closure, *drawn, metric=metric, free=free, known=known))

    arrays = (snapshots.x, snapshots.sites, snapshots.weights, snapshots.force, snapshots.known)
    # In blocks, so that no (snapshots, d, N) array ever exists.
    rows = snapshots.x[0].size + len(metric) * math.prod(snapshots.force.shape[1:])
    return jax.lax.map(one, arrays, batch_size=together(len(snapshots), rows))
