"""Simulate dx/dt = f(x): fixed steps as in the paper, adaptive ones by diffrax."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ._parallel import equal_groups, in_threads, largest_divisor
from ._types import AnyArray, State
from .systems import AbstractHostSystem, AbstractSystem

# Numbers of the states that are stepped together: all stages of a step stay in a core's cache.
_CACHED = 1 << 15


class Trajectories(eqx.Module):
    """Simulated runs: x of shape (trajectories, times, sites, channels) at the given `times`.

    - `forces`: site forces that the integrator spent on them.
    - `lengths`: how many frames of each run count, all of them by default.
    """

    times: Float[Array, " times"]
    x: Float[Array, "trajectories times sites channels"]
    forces: int
    lengths: Int[np.ndarray, " trajectories"]

    def __init__(self, times: AnyArray, x: AnyArray, forces: int, lengths: AnyArray | None = None):
        self.times, self.x, self.forces = times, x, forces
        every = np.full(len(x), x.shape[1])
        self.lengths = every if lengths is None else np.asarray(lengths)

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, chosen: slice) -> "Trajectories":
        x = self.x[chosen]
        forces = self.forces * len(x) // len(self)
        return Trajectories(self.times, x, forces, self.lengths[chosen])

    def take(
        self, run: Int[np.ndarray, " snapshots"], time: Int[np.ndarray, " snapshots"]
    ) -> Float[np.ndarray, "snapshots sites channels"]:
        """The states of the chosen frames."""
        return np.asarray(self.x)[run, time]

    def frames(self, run: int) -> Float[np.ndarray, "frames sites channels"]:
        """The states of one run, as many as count."""
        return np.asarray(self.x[run])[: self.lengths[run]]


def simulate(
    system: AbstractSystem,
    starts: Float[AnyArray, "trajectories sites channels"],
    *,
    duration: float,
    step: float,
    every: int = 1,
    method: str | diffrax.AbstractSolver = "rk4",
    rtol: float = 1e-6,
    until: Callable[[State], Bool[Array, ""]] | None = None,
) -> Trajectories:
    """Simulate dx/dt = f(x) from each start.

    - `duration`, `step`: T and dt, in the system's time unit; T is a whole number of steps.
    - `every`: every how many steps a frame is stored; the start is frame 0.
    - `method`: "rk4", or "euler" (the paper's training data for predator–prey), both with fixed
      steps; or an explicit Runge–Kutta solver of diffrax such as `diffrax.Tsit5()`, whose adaptive
      steps keep the relative error of a step below `rtol` and begin with `step`. For systems with
      `flows`, "strang" (Strang 1968, order 2), S = R(t/2) D(t) R(t/2) with the flows R and D, and
      "strang-4", (4 S(t/2)² − S(t))/3 (order 4). For mechanics, where the free channels r have
      dr/dt = v and the others are v, "velocity-verlet" (order 2), with neighbour lists; a
      `LammpsLennardJones` takes these steps itself.
    - `until`: frames count up to the first one for which it is true (`lengths` of the result).

    Raises `ValueError` when the step is beyond the stable bound, or when a run left the finite
    numbers (which one, and when).
    """
    adaptive = isinstance(method, diffrax.AbstractERK)
    if not adaptive and method not in _METHODS:
        raise ValueError(
            f"method must be one of {sorted(_METHODS)} or an explicit Runge–Kutta solver of "
            f"diffrax such as `diffrax.Tsit5()`, whose forces can be counted, but got {method!r}."
        )
    by_itself = isinstance(system, AbstractHostSystem)
    if by_itself and (method != "velocity-verlet" or not hasattr(system, "simulate")):
        raise ValueError(
            f"A {type(system).__name__} is not simulated by macrokit: its force runs outside JAX. "
            "Simulate it with its own engine and pass the states to `sample`; a "
            '`LammpsLennardJones` does so for `method="velocity-verlet"`.'
        )
    starts = jnp.asarray(starts)
    expected = (system.num_sites, system.num_channels)
    if starts.ndim != 3 or starts.shape[1:] != expected:
        raise ValueError(
            f"starts must have shape (trajectories, sites, channels) = (…, {expected[0]}, "
            f"{expected[1]}), but got {starts.shape}. For a single start, pass `x0[None]`."
        )
    check_finite(starts, "state", of="start")
    if step <= 0:
        raise ValueError(f"step must be positive, but got {step:g}.")
    if not adaptive:
        _check_step(system, step, method)
    steps = round(duration / step)
    if abs(steps * step - duration) > 1e-3 * step:
        raise ValueError(
            f"duration must be a whole number of steps, but {duration:g} is "
            f"{duration / step:g} steps of {step:g}. Choose a `step` that divides it."
        )
    if steps < 1 or every < 1 or steps % every:
        raise ValueError(
            f"duration/step = {steps} steps cannot be stored every {every} steps. "
            "Choose `every` as a divisor of the number of steps."
        )
    frames = steps // every
    dt = jnp.asarray(step, starts.dtype)
    if adaptive:
        x, evaluations = _solve(system, starts, dt, frames, every, method, jnp.asarray(rtol))
    else:
        if by_itself:
            settings = {"steps": steps, "step": step, "every": every, "dtype": starts.dtype}
            x = jnp.stack([system.simulate(start, **settings) for start in starts])
        else:
            x = _integrate_all(system, starts, dt, frames, every, method)
        evaluations = len(starts) * _METHODS[method].evaluations(steps)
    finite = np.isfinite(np.asarray(x)).all(axis=(2, 3))
    if not finite.all():
        run, frame = np.argwhere(~finite)[0]
        raise ValueError(
            f"Trajectory {run} left the finite numbers at time {frame * every * step:g}. "
            f"The step is probably too large: try {step / 4:g}."
        )
    times = jnp.arange(frames + 1) * (every * step)
    lengths = None if until is None else np.asarray(_lengths(until, x))
    if lengths is not None and not lengths.all():
        raise ValueError(
            f"`until` is true at the start of trajectory {int(np.argmin(lengths))}, so that no "
            "frame of it counts. Choose another start, or another end."
        )
    return Trajectories(times, x, int(evaluations) * system.num_sites, lengths)


@eqx.filter_jit
def _lengths(until: Callable, x: Array) -> Array:
    over = jax.lax.map(jax.vmap(until), x)
    return jnp.where(over.any(axis=1), jnp.argmax(over, axis=1), x.shape[1])


def _check_step(system: AbstractSystem, step: float, method: str) -> None:
    limit = _METHODS[method].limit
    if system.spectral_bound is not None and step * system.spectral_bound > limit:
        raise ValueError(
            f"The step {step:g} is unstable for {method}: with |eigenvalues| up to "
            f"{system.spectral_bound:.3g} the largest stable step is "
            f"{limit / system.spectral_bound:.3g}. Choose a smaller `step`."
        )


def _integrate_all(
    system: AbstractSystem, starts: Array, dt: Array, frames: int, every: int, method: str
) -> Array:
    """(trajectories, frames + 1, …), the trajectories spread over threads."""
    positions = len(system.free_channels)
    if method == "velocity-verlet" and 2 * positions != system.num_channels:
        raise ValueError(
            f"'velocity-verlet' needs as many positions, which are the free channels, as "
            f"velocities, but {type(system).__name__} has {positions} free channels of "
            f'{system.num_channels}. Take "rk4".'
        )
    # Here, where nothing is computed yet, and not before: flows may be dear to set up.
    if _METHODS[method].splits and not eqx.filter_eval_shape(system.flows, dt):
        raise ValueError(
            f"{method!r} needs a system with `flows`, but {type(system).__name__} has none. "
            'Take "rk4", or implement `flows(step)`.'
        )
    groups = equal_groups(len(starts))
    if groups == 1:
        return _integrate(system, starts, dt, frames, every, method)
    parts = jnp.split(starts, groups)
    return jnp.concatenate(
        in_threads(lambda part: _integrate(system, part, dt, frames, every, method), parts)
    )


@eqx.filter_jit
def _integrate(
    system: AbstractSystem, starts: Array, dt: Array, frames: int, every: int, method: str
) -> Array:
    chosen, shape = _METHODS[method], starts.shape[1:]
    built, remembers = chosen.step(system, dt), chosen.begin is not None
    step = built if remembers else lambda x, _: (built(x), None)

    def advance(_: Array, carry: tuple[Array, Any]) -> tuple[Array, Any]:
        field, memory = carry
        x, memory = step(field.reshape(shape), memory)
        return x.reshape(system.grid_shape), memory

    def frame(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], Array]:
        carry = jax.lax.fori_loop(0, every, advance, carry)
        return carry, carry[0]

    def run(start: Array) -> Array:
        memory = chosen.begin(system, start) if remembers else None
        carry = start.reshape(system.grid_shape), memory
        _, later = jax.lax.scan(frame, carry, None, length=frames)
        return jnp.concatenate([start[None], later.reshape(-1, *shape)])

    together = largest_divisor(len(starts), _CACHED // starts[0].size)
    # One by one where there is a memory: together, all would do what one of them needs.
    alone = together == 1 or remembers
    return jax.lax.map(run, starts, batch_size=None if alone else together)


Step = Callable[[Array], Array]


def _euler(system: AbstractSystem, dt: Array) -> Step:
    return lambda x: x + dt * system.force(x)


def _rk4(system: AbstractSystem, dt: Array) -> Step:
    def step(x: Array) -> Array:
        k1 = system.force(x)
        k2 = system.force(x + dt / 2 * k1)
        k3 = system.force(x + dt / 2 * k2)
        k4 = system.force(x + dt * k3)
        return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return step


def _strang(system: AbstractSystem, dt: Array) -> Step:
    """Half of the first flow, the second one, the other half."""
    half, (_, whole) = system.flows(dt / 2)[0], system.flows(dt)
    return lambda x: half(whole(half(x)))


def _strang_4(system: AbstractSystem, dt: Array) -> Step:
    half, whole = _strang(system, dt / 2), _strang(system, dt)
    return lambda x: (4 * half(half(x)) - whole(x)) / 3


# What is remembered of the step before: accelerations and a neighbour list.
Memory = tuple[Array, Any]


def _velocity_verlet(
    system: AbstractSystem, dt: Array
) -> Callable[[Array, Memory], tuple[Array, Memory]]:
    r, v = _mechanics(system)

    def step(x: Array, memory: Memory) -> tuple[Array, Memory]:
        a, neighbours = memory
        halfway = x[:, v] + dt / 2 * a
        x = x.at[:, r].add(dt * halfway)
        neighbours = system.renewed(neighbours, x)
        a = _accelerations(system, x, neighbours)
        return x.at[:, v].set(halfway + dt / 2 * a), (a, neighbours)

    return step


def _acceleration_and_list(system: AbstractSystem, x: Array) -> Memory:
    neighbours = system.neighbours(x)
    return _accelerations(system, x, neighbours), neighbours


def _accelerations(system: AbstractSystem, x: Array, neighbours: Any) -> Array:
    everywhere = jnp.arange(system.num_sites)
    force = system.force_at(x, everywhere, neighbours=neighbours)
    return force[:, _mechanics(system)[1]]


def _mechanics(system: AbstractSystem) -> tuple[np.ndarray, np.ndarray]:
    """The channels that are positions, which are the free ones, and those that are velocities."""
    r = np.array(system.free_channels, int)
    return r, np.setdiff1d(np.arange(system.num_channels), r)


class _Method(NamedTuple):
    """`step`: built once for all steps. - `limit`: the largest |λ| step on the negative real axis.
    - `forces`: spent in a step; a flow that couples sites counts as one on all of them.
    - `begin`: of a method whose step is from x and a memory to both, the memory at the start.
    - `splits`: made of exact flows."""

    step: Callable[[AbstractSystem, Array], Callable]
    limit: float
    forces: int
    begin: Callable[[AbstractSystem, Array], Memory] | None = None
    splits: bool = False

    def evaluations(self, steps: int) -> int:
        """Of the force on all sites, in one run; what is remembered at the start is one."""
        return steps * self.forces + (self.begin is not None)


_METHODS = {
    "euler": _Method(_euler, 2.0, 1),
    "rk4": _Method(_rk4, 2.785, 4),
    "strang": _Method(_strang, math.inf, 1, splits=True),
    "strang-4": _Method(_strang_4, math.inf, 3, splits=True),
    "velocity-verlet": _Method(_velocity_verlet, math.inf, 1, _acceleration_and_list),
}


@eqx.filter_jit
def _solve(
    system: AbstractSystem,
    starts: Array,
    dt: Array,
    frames: int,
    every: int,
    solver: diffrax.AbstractSolver,
    rtol: Array,
) -> tuple[Array, Array]:
    """The frames, and how often the force on all sites was evaluated in all runs together."""
    times = jnp.arange(frames + 1) * (every * dt)

    def one(start: Array) -> tuple[Array, Array]:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, x, _: system.force(x)),
            solver,
            times[0],
            times[-1],
            dt0=dt,
            y0=start,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol, norm=error_norm),
            max_steps=None,
            throw=False,
        )
        return solution.ys, solution.stats["num_steps"]

    x, steps = jax.vmap(one)(starts)
    # "First same as last": such a step begins with the force that the one before ended with.
    reused = bool(solver.tableau.fsal)
    return x, steps.sum() * (solver.tableau.num_stages - reused) + reused * len(starts)


def error_norm(error: Array) -> Array:
    """Root mean square, infinite instead of NaN: a step whose stages overflow is too long, and is
    taken again; diffrax would make the next one NaN as well, and every one that follows."""
    size = jnp.sqrt(jnp.mean(error**2))
    return jnp.where(jnp.isnan(size), jnp.inf, size)


def check_finite(
    values: AnyArray, what: str, sites: AnyArray | None = None, *, of: str = "snapshot"
) -> None:
    """Raise `ValueError` that names the first number that is none: its snapshot and its site."""
    finite = np.isfinite(np.asarray(values))
    if finite.all():
        return
    index = np.argwhere(~finite)[0]
    site = index[1] if sites is None else np.asarray(sites)[index[0], index[1]]
    raise ValueError(
        f"The {what} of {of} {index[0]} is not finite at site {site} (channel {index[2]}): "
        f"{np.asarray(values)[tuple(index)]}. Remove or repair that {of}."
    )
