"""One optimiser loop for everything that is trained: a state that is a value, and `advance`."""

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from ._types import Key

Model = TypeVar("Model")


class Cosine(eqx.Module):
    """Learning rate η(t) = η₁ + (η₀ − η₁)(1 + cos(π t/T))/2 for step t of T, then η₁.

    All three are array leaves: moving them in mid-run recompiles nothing.
    """

    peak: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    steps: Float[Array, ""] = eqx.field(converter=lambda n: jnp.asarray(n, jnp.float32))
    floor: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=0.0)

    def __call__(self, step: Int[Array, ""]) -> Float[Array, ""]:
        phase = jnp.minimum(step / self.steps, 1)
        return self.floor + (self.peak - self.floor) * (1 + jnp.cos(jnp.pi * phase)) / 2


class TrainingState(eqx.Module, Generic[Model]):
    """Everything a training run is, as a value: pass it back and the run goes on bit by bit.

    Member `i` of an ensemble is entry `i` of every array of `model`, `moments` and `key`.
    """

    model: Model
    moments: Any
    key: Key
    step: Int[Array, ""]
    schedule: Cosine


def start(model: Model, schedule: Cosine, *, key: Key, members: int | None = None) -> TrainingState:
    """The state before the first step. `members`: length of the leading axis of an ensemble."""
    moments = _adam().init(eqx.filter(model, eqx.is_inexact_array))
    if members is not None:
        key = jax.random.split(key, members)
        count = moments.count
        moments = moments._replace(count=jnp.broadcast_to(count, (members,)))
    return TrainingState(model, moments, key, jnp.zeros((), jnp.int32), schedule)


def _adam() -> optax.GradientTransformation:
    return optax.scale_by_adam()


def step_once(
    direction: Callable, state: TrainingState, data: Any
) -> tuple[TrainingState, Float[Array, ""]]:
    """One Adam step of one member. `direction(model, data, key) -> (gradient, loss)`."""
    key = jax.random.fold_in(state.key, state.step)
    gradient, loss = direction(state.model, data, key)
    updates, moments = _adam().update(gradient, state.moments)
    rate = state.schedule(state.step)
    model = eqx.apply_updates(state.model, jax.tree.map(lambda u: -rate * u, updates))
    return TrainingState(model, moments, state.key, state.step + 1, state.schedule), loss


@functools.cache
def _advancer(direction: Callable, ensemble: bool, shared: bool) -> Callable:
    step = functools.partial(step_once, direction)
    if ensemble:
        axes = TrainingState(
            model=eqx.if_array(0), moments=eqx.if_array(0), key=0, step=None, schedule=None
        )
        step = eqx.filter_vmap(
            step, in_axes=(axes, None if shared else eqx.if_array(0)), out_axes=(axes, 0)
        )

    @eqx.filter_jit
    def run(state: TrainingState, data: Any, count: Int[Array, ""]) -> tuple[TrainingState, Array]:
        dynamic, static = eqx.partition(state, eqx.is_array)

        def body(_: Array, carry: tuple) -> tuple:
            state, total = carry
            new, loss = step(eqx.combine(state, static), data)
            return eqx.filter(new, eqx.is_array), total + loss

        total = jnp.zeros(len(state.key) if ensemble else ())
        # A traced trip count: chunks of any length share one compilation.
        dynamic, total = jax.lax.fori_loop(0, count, body, (dynamic, total))
        return eqx.combine(dynamic, static), total / count

    return run


def advance(
    direction: Callable, state: TrainingState, data: Any, count: int, *, shared: bool = True
) -> tuple[TrainingState, Float[Array, " ..."]]:
    """`count` steps; returns the new state and the mean loss over them (one per member).

    An ensemble is recognised by its keys, `shared` says whether its members share the data.
    """
    run = _advancer(direction, state.key.ndim == 1, shared)
    return run(state, data, jnp.asarray(count, jnp.int32))
