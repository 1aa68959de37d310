"""Training the macroscopic dynamics: an iterator whose state is a value."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._optimiser import Cosine, TrainingState, advance
from ._optimiser import start as start_state
from ._types import Key
from .estimators import Labels


@dataclasses.dataclass(frozen=True)
class Progress:
    """One report of a running training.

    - `state`: everything; pass it back to `train` to go on.
    - `step`, `steps`: where the run is and where it ends. - `loss`: mean since the last report.
    - `seconds`: since this call of `train` began. - `seconds_left`: estimate.
    """

    state: TrainingState
    step: int
    steps: int
    loss: np.ndarray
    seconds: float
    seconds_left: float


def direction(batch: int) -> Callable:
    """The training direction S g(z) − b, averaged over a random batch of snapshots."""
    return _Direction(batch)


@dataclasses.dataclass(frozen=True)
class _Direction:
    batch: int

    def __call__(self, model: Any, labels: Labels, key: Key) -> tuple[Any, Float[Array, ""]]:
        chosen = jax.random.randint(key, (self.batch,), 0, labels.count)
        z, S, b, c = (a[chosen] for a in (labels.z, labels.S, labels.b, labels.c))
        dynamic, static = eqx.partition(model, eqx.is_inexact_array)
        g, pullback = jax.vjp(lambda m: jax.vmap(eqx.combine(m, static))(z), dynamic)
        residual = jnp.einsum("nij,nj->ni", S, g) - b
        (gradient,) = pullback(residual / self.batch)
        return gradient, jnp.mean(jnp.einsum("ni,ni->n", g, residual - b) + c)


def train(
    state: TrainingState,
    labels: Labels,
    *,
    steps: int,
    every: int = 500,
    batch: int = 256,
) -> Iterator[Progress]:
    """Train until step `steps`, yielding a `Progress` every `every` steps.

    Stop with `break`; resume by passing `progress.state` back. Chunk lengths change nothing in the
    result. Labels with a leading member axis give each member its own data; without it they are
    shared.
    """
    shared = labels.z.ndim == 2
    yield from iterate(direction(batch), state, labels, steps=steps, every=every, shared=shared)


def iterate(
    direction: Callable,
    state: TrainingState,
    data: Any,
    *,
    steps: int,
    every: int,
    shared: bool = True,
) -> Iterator[Progress]:
    """The loop behind everything that is trained; see `train`."""
    begun = time.perf_counter()
    first = done = int(state.step)
    rate = None
    while done < steps:
        chunk = min(every, steps - done)
        before = time.perf_counter()
        state, loss = advance(direction, state, data, chunk, shared=shared)
        loss = np.asarray(loss)
        done += chunk
        now = time.perf_counter()
        # The first chunk holds the compilation and says nothing about the rest.
        if done - first > chunk:
            pace = (now - before) / chunk
            rate = pace if rate is None else 0.7 * rate + 0.3 * pace
        left = (rate or (now - before) / chunk) * (steps - done)
        yield Progress(state, done, steps, loss, now - begun, left)


def standardisation(labels: Labels) -> tuple[Array, Array, Array, Array]:
    """Means and spreads of z and of dz/dt for the scaling of a macroscopic model.

    The rates come from a weighted least-squares fit of an affine field to (z, S, b), so they use
    only forces that were paid for and do not contain the sampling noise, which would inflate them.
    """
    count = int(labels.count)
    z, S, b = (np.asarray(a, np.float64)[:count] for a in (labels.z, labels.S, labels.b))
    centre, spread = z.mean(axis=0), z.std(axis=0)
    if not (spread > 0).all():
        raise ValueError(
            f"Macroscopic variable {int(np.argmin(spread))} is the same in all {count} snapshots; "
            "nothing can be learned about it. Use snapshots from more than one state."
        )
    features = np.concatenate([np.ones((count, 1)), (z - centre) / spread], axis=1)
    metric = S.mean(axis=0)
    moments = np.linalg.lstsq(features.T @ features / count, features.T @ b / count, rcond=None)[0]
    coefficients = np.linalg.solve(metric, moments.T).T
    fitted = features @ coefficients
    rate = np.sqrt(((fitted - fitted.mean(axis=0)) ** 2).mean(axis=0))
    rate = np.maximum(rate, 1e-6 * rate.max())
    return tuple(jnp.asarray(a, labels.z.dtype) for a in (centre, spread, fitted.mean(axis=0), rate))
