import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._closure import Closure
from .._sampling import Snapshots
from ._abstract import AbstractEstimator, Labels


def label(estimator: AbstractEstimator, closure: Closure, snapshots: Snapshots) -> Labels:
    """(z, S, b, c) of every snapshot.

    - `estimator`: `Exact()` or `Lifted()`. - `closure`: a trained closure.
    - `snapshots`: states, and the forces bought on some of their sites.

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
    z, S, b, c = _label(estimator, closure, snapshots)
    return Labels(z, S, b, c, jnp.asarray(len(snapshots), jnp.int32))


@eqx.filter_jit
def _label(estimator: AbstractEstimator, closure: Closure, snapshots: Snapshots) -> tuple:
    def one(snapshot: tuple[Array, ...]) -> tuple[Array, ...]:
        x, sites, weights, force = snapshot
        return closure.encode(x), *estimator(closure, x, sites, weights, force)

    arrays = (snapshots.x, snapshots.sites, snapshots.weights, snapshots.force)
    # In blocks, so that no (snapshots, d, N) array ever exists.
    return jax.lax.map(one, arrays, batch_size=min(256, len(snapshots.x)))
