"""One optimiser loop for everything that is trained: a state that is a value, and `advance`."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from ._parallel import equal_groups, in_threads
from ._types import Keys

Model = TypeVar("Model")


def _as_float(value: float | Array) -> Array:
    return jnp.asarray(value, jnp.float32)


class Cosine(eqx.Module):
    """Learning rate η(t) = η₀ (r + (1 − r)(1 + cos(π (t − t₀)/T))/2) for step t of T, then r η₀.

    - `peak`: η₀. - `steps`: T. - `begin`: t₀, the step at which the cosine starts. - `floor`: r.

    All are array leaves: moving them in mid-run recompiles nothing.
    """

    peak: Float[Array, ""] = eqx.field(converter=_as_float)
    steps: Float[Array, ""] = eqx.field(converter=_as_float)
    begin: Float[Array, ""] = eqx.field(converter=_as_float, default=0.0)
    floor: Float[Array, ""] = eqx.field(converter=_as_float, default=1e-3)

    def __call__(self, step: Int[Array, ""]) -> Float[Array, ""]:
        phase = jnp.clip((step - self.begin) / self.steps, 0, 1)
        return self.peak * (self.floor + (1 - self.floor) * (1 + jnp.cos(jnp.pi * phase)) / 2)


class TrainingState(eqx.Module, Generic[Model]):
    """Everything a training run is, as a value: pass it back and the run goes on bit by bit.

    Member `i` of an ensemble is entry `i` of every array of `model`, `moments` and `key`.
    """

    model: Model
    moments: Any
    key: Keys
    step: Int[Array, ""]
    schedule: Cosine
    optimiser: str = "adam"


def start(
    model: Model,
    schedule: Cosine,
    *,
    key: Keys,
    members: int | None = None,
    optimiser: str = "adam",
) -> TrainingState:
    """The state before the first step.

    - `model`: what is trained; for an ensemble, with a leading axis of length `members`.
    - `key`: one for all members (each gets its own from it), or an array of `members` keys.
    - `optimiser`: "adam"; "amsgrad", by which the released code trains macroscopic models; or
      "adam-0.95", with β₂ = 0.95, by which it trains closures.
    """
    if optimiser not in OPTIMISERS:
        raise ValueError(f"optimiser must be one of {sorted(OPTIMISERS)}, but got {optimiser!r}.")
    # Weakly typed numbers would lose their weakness in the first chunk and compile it again.
    model = jax.tree.map(lambda a: _by_numpy(np.asarray, a) if eqx.is_array(a) else a, model)
    initial = OPTIMISERS[optimiser].init
    if members is not None:
        initial = eqx.filter_jit(eqx.filter_vmap(initial, axis_size=members))
        key = jax.random.split(key, members) if key.ndim == 0 else key
    moments = initial(eqx.filter(model, eqx.is_inexact_array))
    return TrainingState(model, moments, key, jnp.zeros((), jnp.int32), schedule, optimiser)


def _amsgrad(decay: float = 0.999) -> optax.GradientTransformation:
    """As PyTorch has it: the largest v so far, corrected for its bias afterwards. Optax by default
    corrects first, so that the first gradients slow down all that come."""
    unbiased = optax.scale_by_schedule(lambda t: jnp.sqrt(1 - decay ** (t + 1)))
    return optax.chain(optax.scale_by_amsgrad(b2=decay, bias_correction_nu=False), unbiased)


OPTIMISERS: dict[str, optax.GradientTransformation] = {
    "adam": optax.scale_by_adam(),
    "adam-0.95": optax.scale_by_adam(b2=0.95),
    "amsgrad": _amsgrad(),
}


def step_once(
    direction: Callable, state: TrainingState, data: Any
) -> tuple[TrainingState, Float[Array, ""]]:
    """One Adam step of one member. `direction(model, data, key) -> (gradient, loss)`."""
    key = jax.random.fold_in(state.key, state.step)
    gradient, loss = direction(state.model, data, key)
    weights = eqx.filter(state.model, eqx.is_inexact_array)
    updates, moments = OPTIMISERS[state.optimiser].update(gradient, state.moments, weights)
    rate = state.schedule(state.step)
    model = eqx.apply_updates(state.model, jax.tree.map(lambda u: -rate * u, updates))
    advanced = TrainingState(
        model, moments, state.key, state.step + 1, state.schedule, state.optimiser
    )
    return advanced, loss


@functools.cache
def _advancer(direction: Callable, ensemble: bool, shared: bool) -> Callable:
    @eqx.filter_jit
    def run(state: TrainingState, data: Any, count: Int[Array, ""]) -> tuple[TrainingState, Array]:
        step = functools.partial(step_once, direction)
        if ensemble:
            # Members share the step and the schedule; everything else has one entry for each.
            axes = jax.tree.map(eqx.if_array(0), state)
            axes = eqx.tree_at(lambda s: (s.step, s.schedule), axes, (None, None))
            data_axis = None if shared else eqx.if_array(0)
            step = eqx.filter_vmap(step, in_axes=(axes, data_axis), out_axes=(axes, 0))
        dynamic, static = eqx.partition(state, eqx.is_array)

        def body(_: Array, carry: tuple) -> tuple:
            state, total = carry
            new, loss = step(eqx.combine(state, static), data)
            return eqx.filter(new, eqx.is_array), total + loss

        total = jnp.zeros(len(state.key) if ensemble else ())
        # A traced trip count: chunks of any length share one compilation.
        dynamic, total = jax.lax.fori_loop(0, count, body, (dynamic, total))
        return eqx.combine(dynamic, static), total / jnp.maximum(count, 1)

    return run


def advance(
    direction: Callable, state: TrainingState, data: Any, count: int, *, shared: bool = True
) -> tuple[TrainingState, Float[Array, " ..."]]:
    """`count` steps; returns the new state and the mean loss over them (one per member).

    An ensemble is recognised by its keys, `shared` says whether its members share the data.
    """
    ensemble = state.key.ndim == 1
    run = _advancer(direction, ensemble, shared)
    steps = jnp.asarray(count, jnp.int32)
    # A step is made of products too small for XLA to spread over the cores of a CPU: two halves of
    # an ensemble in two threads take half the time (benchmarks/speed.py).
    groups = equal_groups(len(state.key)) if ensemble else 1
    if groups == 1:
        return run(state, data, steps)
    size = len(state.key) // groups
    chosen = [slice(first, first + size) for first in range(0, len(state.key), size)]
    parts = [(_take_members(state, c), data if shared else _take(data, c)) for c in chosen]
    run(*parts[0], 0 * steps)  # compiles, so that the threads do not each do it
    states, losses = zip(*in_threads(lambda part: run(*part, steps), parts), strict=True)
    return _join_members(states), _concatenate(losses)


def _take(tree: Any, chosen: slice) -> Any:
    return jax.tree.map(lambda a: _by_numpy(lambda a: a[chosen], a) if eqx.is_array(a) else a, tree)


def _by_numpy(change: Callable, *arrays: Array) -> Array:
    """`change` of arrays on a CPU; by JAX it would be compiled for every shape."""
    if jnp.issubdtype(arrays[0].dtype, jax.dtypes.prng_key):
        data = _by_numpy(change, *map(jax.random.key_data, arrays))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(arrays[0]))
    return jax.device_put(change(*map(np.asarray, arrays)))


def _concatenate(arrays: Sequence[Array]) -> Array:
    return _by_numpy(lambda *a: np.concatenate(a), *arrays)


def _take_members(state: TrainingState, chosen: slice) -> TrainingState:
    own = _take((state.model, state.moments, state.key), chosen)
    return eqx.tree_at(lambda s: (s.model, s.moments, s.key), state, own)


def _join_members(states: Sequence[TrainingState]) -> TrainingState:
    def joined(*arrays: Any) -> Any:
        return _concatenate(arrays) if eqx.is_array(arrays[0]) else arrays[0]

    own = [(s.model, s.moments, s.key) for s in states]
    return eqx.tree_at(lambda s: (s.model, s.moments, s.key), states[0], jax.tree.map(joined, *own))
