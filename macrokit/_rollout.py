"""The macroscopic model in the units of z, its roll-outs, and how wrong they are."""

from collections.abc import Callable

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._archive import StoredTrajectories
from ._closure import Closure, encode_states
from ._simulation import Trajectories, error_norm
from ._types import AnyArray, Macro
from .estimators import Labels
from .macro import AbstractMacro, AbstractScaling, Structured


class MacroModel(eqx.Module):
    """dz/dt = g(z) in the units of z: a field G and the scaling that dresses it."""

    field: AbstractMacro
    scaling: AbstractScaling

    def __call__(self, z: Macro) -> Macro:
        """g(z)."""
        return self.scaling(self.field, z)


def standardisation(labels: Labels) -> tuple[Macro, Macro, Macro, Macro]:
    """Means and spreads of z and of dz/dt for the scaling of a macroscopic model.

    The rates are those of an affine field of z fitted to b in the mean metric S̄:
    S̄ C = ⟨b φᵀ⟩⟨φφᵀ⟩⁻¹ with φ = (1, z). They use only forces that were paid for, and the fit
    averages the sampling noise. What few partial snapshots leave of it makes the rate of a variable
    larger that is known badly, so that it weighs less in a metric of rates.
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
    return tuple(
        jnp.asarray(a, labels.z.dtype) for a in (centre, spread, fitted.mean(axis=0), rate)
    )


def macro_model(
    field: AbstractMacro, labels: Labels, scaling: type[AbstractScaling] = Structured
) -> MacroModel:
    """Dress a field G with a scaling taken from `labels`, that is, from forces that were paid for.

    - `scaling`: `macro.Structured` (keeps OnsagerNet's guarantee) or `macro.Affine` (the paper's).
    """
    if field.dim != labels.z.shape[-1]:
        raise ValueError(
            f"The field has d = {field.dim} macroscopic variables, but the labels have "
            f"{labels.z.shape[-1]}. Build it with `dim={labels.z.shape[-1]}`."
        )
    return MacroModel(field, scaling(*standardisation(labels)))


class Rollout(eqx.Module):
    """z at the asked times, and when the run left the region of trust.

    - `left_at`: the first of `times` at which |z − μ| is beyond `horizon` spreads or which the
      solver did not reach; infinity for a run that did neither. Frames from then on are not
      predictions: `valid` masks them.
    """

    times: Float[Array, " times"]
    z: Float[Array, "times d"]
    left_at: Float[Array, ""]

    @property
    def diverged(self) -> Array:
        return jnp.isfinite(self.left_at)

    @property
    def valid(self) -> Array:
        return self.times < self.left_at


@eqx.filter_jit
def rollout(
    model: MacroModel, z0: Macro, times: Float[Array, " times"], *, horizon: float = 100.0
) -> Rollout:
    """Solve dz/dt = g(z) from z₀ with diffrax (Tsit5, adaptive; tolerance 1e-6 of the
    spread and 1e-5 of the way from the mean).

    - `times`: increasing, the first one is the time of z₀.
    - `horizon`: |z − μ|/σ beyond which the run is called diverged and stopped.

    Frames after the run left hold its last value inside.
    """
    scaling = model.scaling
    if z0.shape != scaling.centre.shape:
        raise ValueError(
            f"z0 must have shape {scaling.centre.shape}, but got {z0.shape}. Encode a state: "
            "`closure.encode(x0)`."
        )
    start = (z0 - scaling.centre) / scaling.spread

    def standardised(t: Array, u: Macro, _: None) -> Macro:
        return model(scaling.centre + scaling.spread * u) / scaling.spread

    def left(t: Array, u: Macro, *_, **__) -> Array:
        return jnp.max(jnp.abs(u)) > horizon

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(standardised),
        diffrax.Tsit5(),
        times[0],
        times[-1],
        dt0=None,
        y0=start,
        saveat=diffrax.SaveAt(fn=lambda t, u, _: u, ts=times),
        stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-6, norm=error_norm),
        max_steps=4096,
        event=diffrax.Event(left),
        throw=False,
    )
    # The solver stops after the step that left, so frames within that step are looked at too.
    u = solution.ys.at[0].set(start)
    inside = jnp.abs(u).max(axis=1) <= horizon
    frames = jnp.where(inside.all(), len(times), jnp.argmin(inside))
    left_at = jnp.where(frames < len(times), times[frames], jnp.inf)
    held = jnp.clip(frames - 1, 0, jnp.arange(len(times)))
    return Rollout(times, scaling.centre[None] + scaling.spread[None] * u[held], left_at)


def relative_error(
    predicted: Float[Array, "times observables"],
    true: Float[Array, "times observables"],
    length: int | Int[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Σ_t |z*_pred − z*_true|₂ / Σ_t |z*_true|₂ of one trajectory (Chen & Li 2024, appendix).

    - `length`: how many of its frames count, all by default.
    """
    counts = jnp.arange(len(true)) < (len(true) if length is None else length)
    away, size = (jnp.linalg.norm(a, axis=1) for a in (predicted - true, true))
    return jnp.where(counts, away, 0).sum() / jnp.where(counts, size, 0).sum()


class TestSet(eqx.Module):
    """Held-out trajectories as the macroscopic model meets them: z₀, times, z* along the truth.

    Of each trajectory the first `lengths` frames count; behind them z* stays as it was.
    """

    __test__ = False  # not a pytest class

    start: Float[Array, "trajectories d"]
    times: Float[Array, " times"]
    observables: Float[Array, "trajectories times observables"]
    lengths: Int[Array, " trajectories"]

    def __init__(self, closure: Closure, trajectories: Trajectories | StoredTrajectories):
        longest = int(trajectories.lengths.max())
        self.times = trajectories.times[:longest]
        self.lengths = jnp.asarray(trajectories.lengths, jnp.int32)
        runs = range(len(trajectories))
        first = trajectories.take(np.array(runs), np.zeros(len(runs), int))
        self.start = encode_states(closure, jnp.asarray(first))
        # One run in memory at a time, all in one shape: behind its end the last frame stays.
        frames = np.minimum(np.arange(longest), trajectories.lengths[:, None] - 1)
        self.observables = jnp.stack(
            [_observe(closure.observable, trajectories.frames(run)[frames[run]]) for run in runs]
        )


@eqx.filter_jit
def _observe(observable: Callable, x: AnyArray) -> Array:
    return jax.vmap(observable)(x)


@eqx.filter_jit
def rollout_errors(
    model: MacroModel, test: TestSet
) -> tuple[Float[Array, " trajectories"], Float[Array, " trajectories"]]:
    """Relative error of the roll-out from each true start, and the time at which it left.

    A roll-out that left the region of trust has infinite error.
    """

    runs = jax.vmap(lambda start: rollout(model, start, test.times))(test.start)
    return errors_of(runs.z, runs.left_at, test), runs.left_at


@eqx.filter_jit
def errors_of(
    z: Float[AnyArray, "trajectories times d"],
    left_at: Float[AnyArray, " trajectories"],
    test: TestSet,
) -> Float[Array, " trajectories"]:
    """Relative error of roll-outs from the starts of a test set, infinite where one left the region
    of trust before the last frame that counts; what comes behind it is asked of nobody."""

    def one(z: Array, left_at: Array, true: Array, length: Array) -> Array:
        error = relative_error(z[:, : true.shape[1]], true, length)
        return jnp.where(left_at <= test.times[length - 1], jnp.inf, error)

    return jax.vmap(one)(z, left_at, test.observables, test.lengths)


def test_errors(models: MacroModel, test: TestSet) -> Float[np.ndarray, " members"]:
    """Mean relative error over the held-out trajectories, for each member of an ensemble."""
    errors, _ = eqx.filter_vmap(rollout_errors, in_axes=(eqx.if_array(0), None))(models, test)
    return np.asarray(errors.mean(axis=1))


test_errors.__test__ = False
