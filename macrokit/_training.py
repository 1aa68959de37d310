"""Training the macroscopic dynamics: an iterator whose state is a value."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jaxtyping import Array, Float

from ._memory import trim_memory
from ._optimiser import Cosine, TrainingState, advance, start
from ._types import Key
from .estimators import Labels

Model = TypeVar("Model", bound=Callable)
Tree = TypeVar("Tree")


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


@dataclasses.dataclass(frozen=True)
class Direction:
    """The training direction S (g(z + ν) + λ ν) − b, averaged over a random batch of snapshots.

    - `noise`: size of the Gaussian ν, as a share of the spread of z. The states of a run lie on a
      surface in the space of z; a little noise tells g about its surroundings, where roll-outs err.
    - `restoring`: λ. What is learned is E[y − λν | z + ν] = E[y | z + ν] + λ s² ∇log p, with s² the
      variance of ν and p the density of what was seen, blurred by it: off the surface a pull back
      to it, on it a change of order s². One over a time.

    Source: Sanchez-Gonzalez et al. 2020 for noise whose target takes it back; Vincent 2011 for what
    it learns.
    """

    batch: int
    noise: float = 0.0
    restoring: float = 0.0

    def __call__(self, model: Any, labels: Labels, key: Key) -> tuple[Any, Float[Array, ""]]:
        chosen = jax.random.randint(key, (self.batch,), 0, labels.count)
        z, S, b, c = (a[chosen] for a in (labels.z, labels.S, labels.b, labels.c))
        away = jnp.zeros_like(z)
        if self.noise:
            normal = jax.random.normal(jax.random.fold_in(key, 1), z.shape)
            away = self.noise * z.std(axis=0, keepdims=True) * normal
        dynamic, static = eqx.partition(model, eqx.is_inexact_array)
        g, pullback = jax.vjp(lambda m: jax.vmap(eqx.combine(m, static))(z + away), dynamic)
        g += self.restoring * away
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
    noise: float = 0.0,
    restoring: float = 0.0,
) -> Iterator[Progress]:
    """Train until step `steps`, yielding a `Progress` every `every` steps.

    Stop with `break`; resume by passing `progress.state` back. Chunk lengths change nothing in the
    result. Labels with a leading member axis give each member its own data; without it they are
    shared.

    - `noise`: added to z in each step, as a share of its spread. 0 is the paper's.
    - `restoring`: rate λ (one over a time) at which what was added shall decay. Where long
      roll-outs leave the states that were learned from, a noise of 0.02 and a λ well above the rate
      of the motion lead them back (Allen–Cahn: 800, and rings that live for 0.05); see `Direction`.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1 snapshot, but got {batch}.")
    shared = labels.z.ndim == 2
    # Room in powers of two: data sets of different length share one compilation.
    labels = labels.padded(1 << max(12, (labels.z.shape[-2] - 1).bit_length()))
    direction = Direction(batch, noise, restoring)
    yield from iterate(direction, state, labels, steps=steps, every=every, shared=shared)


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
    if every < 1:
        raise ValueError(f"every must be at least 1 step, but got {every}.")
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


def fit(
    model: Model,
    labels: Labels,
    *,
    steps: int = 20_000,
    learning_rate: float = 5e-3,
    batch: int = 256,
    noise: float = 0.0,
    restoring: float = 0.0,
    members: int | None = None,
    progress: bool = True,
    key: Key,
) -> Model:
    """Train to the end, with a progress bar; `train` is the same loop for those who want to watch.

    - `model`: what maps z to dz/dt, or an ensemble of them made by `stack` (then say `members`).
    - `learning_rate`: peak of a cosine schedule over `steps`.
    - `noise`, `restoring`: as in `train`.
    """
    state = start(model, Cosine(learning_rate, steps), key=key, members=members)
    with tqdm.tqdm(total=steps, disable=not progress, unit="step") as bar:
        for report in train(
            state, labels, steps=steps, batch=batch, noise=noise, restoring=restoring
        ):
            state = report.state
            bar.update(report.step - bar.n)
    trim_memory()
    return state.model


def stack(members: Sequence[Tree]) -> Tree:
    """An ensemble: the same object with every array stacked along a new leading axis."""
    dynamic, static = zip(*(eqx.partition(m, eqx.is_array) for m in members), strict=True)
    if not all(eqx.tree_equal(static[0], other) for other in static[1:]):
        raise ValueError(
            "Members of an ensemble may differ in their arrays only, but these differ in a number "
            "or a function. Build them with the same settings."
        )
    return eqx.combine(jax.tree.map(lambda *a: jnp.stack(a), *dynamic), static[0])


def member(ensemble: Tree, index: int) -> Tree:
    """One member of an ensemble made by `stack`."""
    dynamic, static = eqx.partition(ensemble, eqx.is_array)
    return eqx.combine(jax.tree.map(lambda a: a[index], dynamic), static)
