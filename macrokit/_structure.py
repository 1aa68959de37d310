"""What the field that is rolled out keeps of its structure, and where its roll-outs go."""

import dataclasses
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ._rollout import MacroModel, rollout
from ._training import member
from ._types import AnyArray, Macro

_HORIZONS = 10


@dataclasses.dataclass(frozen=True)
class StructureReport:
    """Structure and stability of a field as it is rolled out, scaling included; `print` it for the
    table and the verdict.

    - `guaranteed`: whether structure is kept whatever the parameters.
    - `guarantee`: what is kept, or why nothing is.
    - `residuals`: the largest violation by name, dimensionless, 0 where there is none. With u for z
      in standardised units: "dissipation" (dV/dt)/(|∇V||u̇|) of OnsagerNets; of GFINN "energy"
      |dE/dt|/(|∇E||u̇|), "entropy" −(dS/dt)/(|∇S||u̇|) and "degeneracy", the larger of
      |L∇S|/(|L||∇S|) and |M∇E|/(|M||∇E|); none of an MLP.
    - `shares`: of the states at which a violation is more than rounding.
    - `diverged`: share of the roll-outs that went beyond 100 spreads, or on which the solver gave
      up, within 1 and within 10 training horizons.
    - `trust`: median time at which a roll-out leaves the box that the states span in the leading
      variables, widened by half its width on either side; infinite if not within 10 training
      horizons.
    - `horizon`: the time of one training horizon. - `members`: networks looked at.
    - `states`, `runs`: states and roll-outs of each.
    """

    guaranteed: bool
    guarantee: str
    residuals: Mapping[str, float]
    shares: Mapping[str, float]
    diverged: Mapping[int, float]
    trust: float
    horizon: float
    states: int
    runs: int
    members: int

    @property
    def sentence(self) -> str:
        """Whether the structure is kept along what is rolled out, and whether roll-outs stay."""
        return f"{self._structure}; {self._stability}."

    @property
    def _structure(self) -> str:
        if not self.residuals:
            return "There is no structure to keep"
        worst = max(self.shares, key=lambda name: self.shares[name])
        if self.shares[worst] > 0:
            share = _percent(self.shares[worst])
            return f"The structure is lost: {worst} fails at {share} of the states"
        if self.guaranteed:
            return "The structure is kept at every state, as it must be"
        return "Nothing is guaranteed, but the structure is kept at every state"

    @property
    def _stability(self) -> str:
        for horizons, share in self.diverged.items():
            if share > 0:
                return f"{_percent(share)} of the roll-outs diverge within {_horizons(horizons)}"
        if np.isfinite(self.trust):
            went = _horizons(self.trust / self.horizon)
            return f"no roll-out diverges, but half of them leave the states seen within {went}"
        return f"no roll-out diverges within {_horizons(_HORIZONS)}"

    def __str__(self) -> str:
        lines = [self.guarantee]
        if self.residuals:
            lines.append(f"{'residual':14}{'largest':>10}{'violated at':>14}")
        for name, value in self.residuals.items():
            lines.append(f"{name:14}{value:10.1e}{_percent(self.shares[name]):>14}")
        trusted = f"more than {_horizons(_HORIZONS)}"
        if np.isfinite(self.trust):
            trusted = f"{self.trust:.3g}, {_horizons(self.trust / self.horizon)}"
        diverged = [f"{_percent(s)} within {_horizons(n)}" for n, s in self.diverged.items()]
        networks = f" of each of {self.members} networks" if self.members > 1 else ""
        lines += [
            f"{self.states} states, {self.runs} roll-outs{networks}, horizon {self.horizon:.3g}",
            f"diverged: {', '.join(diverged)}",
            f"horizon of trust: {trusted}",
            self.sentence,
        ]
        return "\n".join(lines)


def structure_report(
    models: MacroModel,
    z: Float[AnyArray, "states d"],
    starts: Float[AnyArray, "runs d"],
    times: Float[AnyArray, " times"],
) -> StructureReport:
    """Say what the field that is rolled out keeps of its structure, and when its roll-outs leave.

    - `models`: one model, or an ensemble made by `stack`: residuals are then those of the worst
      member, shares and the median those over all of them.
    - `z`: states that the model shall hold for, such as the labels' or the test set's.
    - `starts`: z₀ of the roll-outs. - `times`: frames of the training horizon, increasing; ten such
      follow one another. Leaving is noticed at frames.

    Raises `ValueError` when the shapes do not fit each other, or with fewer than 2 states or times.
    """
    centre = models.scaling.centre
    z, starts, times = (jnp.asarray(a, centre.dtype) for a in (z, starts, times))
    for name, a in (("z", z), ("starts", starts)):
        if a.ndim != 2 or a.shape[1] != centre.shape[-1]:
            raise ValueError(
                f"{name} must have shape (any number, {centre.shape[-1]}), one state a row, but "
                f"got {a.shape}. Encode states: `closure.encode`."
            )
    if len(z) < 2 or not len(starts):
        raise ValueError(
            "The report needs at least 2 states, which span a box, and 1 start, but got "
            f"{len(z)} and {len(starts)}. Take the states that the model was trained on."
        )
    if times.ndim != 1 or len(times) < 2 or not (jnp.diff(times) > 0).all():
        raise ValueError(
            "times must be the increasing times of at least 2 frames, but got an array of shape "
            f"{times.shape}. Use those of a test trajectory."
        )
    members = [models]
    if centre.ndim == 2:
        members = [member(models, index) for index in range(len(centre))]
    measured = [(_violations(one, z), *_departures(one, z, starts, times)) for one in members]
    violations, diverged, left = jax.tree.map(lambda *a: np.stack(a), *measured)
    # A single-precision direction is known to seven digits, less where large terms cancel in g.
    rounding = 1e3 * float(jnp.finfo(z.dtype).eps)
    field = models.field.guarantee()
    guaranteed = field.holds and models.scaling.keeps_structure
    if guaranteed:
        guarantee = f"guarantee: {field.sentence}"
    elif field.holds:
        scaling = type(models.scaling).__name__
        guarantee = f"no guarantee: the {scaling} scaling destroys what the field alone would keep"
        guarantee += f" ({field.sentence})"
    else:
        guarantee = f"no guarantee: {field.sentence}"
    return StructureReport(
        guaranteed=guaranteed,
        guarantee=guarantee,
        residuals={name: float(np.maximum(0, a.max())) for name, a in violations.items()},
        shares={name: float((~(a <= rounding)).mean()) for name, a in violations.items()},
        diverged={1: float(diverged[..., 0].mean()), _HORIZONS: float(diverged.any(-1).mean())},
        trust=float(np.median(left)),
        horizon=float(times[-1] - times[0]),
        states=len(z),
        runs=len(starts),
        members=len(members),
    )


@eqx.filter_jit
def _violations(model: MacroModel, z: Array) -> dict[str, Float[Array, " states"]]:
    centre, spread = model.scaling.centre, model.scaling.spread

    def one(z: Macro) -> dict[str, Array]:
        return model.field.violations((z - centre) / spread, model(z) / spread)

    return jax.lax.map(one, z, batch_size=1024)


@eqx.filter_jit
def _departures(
    model: MacroModel, z: Array, starts: Array, times: Array
) -> tuple[Bool[Array, "runs horizons"], Float[Array, " runs"]]:
    """Whether each roll-out diverged in each horizon, and the time at which it left the box."""
    # What is driven leads nowhere.
    leading = slice(model.field.leading)
    low, high = z[:, leading].min(axis=0), z[:, leading].max(axis=0)
    low, high = 1.5 * low - 0.5 * high, 1.5 * high - 0.5 * low

    # A roll-out has a limited number of steps: one for each horizon, from where the last one ended.
    def horizon(start: Macro, _: None) -> tuple[Macro, tuple[Array, Array]]:
        run = rollout(model, start, times)
        inside = (low[None] <= run.z[:, leading]) & (run.z[:, leading] <= high[None])
        outside = ~inside.all(axis=1) | ~run.valid
        left = jnp.where(outside.any(), times[jnp.argmax(outside)] - times[0], jnp.inf)
        return run.z[-1], (run.diverged, left)

    def one(start: Macro) -> tuple[Array, Array]:
        _, (diverged, left) = jax.lax.scan(horizon, start, length=_HORIZONS)
        return diverged, (left + (times[-1] - times[0]) * jnp.arange(_HORIZONS)).min()

    return jax.vmap(one)(starts)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _horizons(number: float) -> str:
    return f"{number:.2g} training horizon{'' if number == 1 else 's'}"
