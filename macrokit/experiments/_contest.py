"""Who competes for what: learners, the contest, what forces they buy and how they are judged."""

import dataclasses
import functools

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from .. import designs, estimators, macro
from .._archive import StoredTrajectories
from .._closure import Closure, encode_states
from .._diagnostics import field_error
from .._rollout import MacroModel, TestSet, errors_of, rollout
from .._sampling import affordable, make_design, number_drawn, sample, spread, spread_indices
from .._simulation import Trajectories
from .._types import AnyArray, Key
from ..estimators import Labels, label
from ..systems import AbstractSystem


@dataclasses.dataclass(frozen=True)
class Learner:
    """One competitor. - `name`: for plots. - `estimator`, `design`, `model`, `scaling`: names of
    the catalogues. - `fraction`: share of the sites it buys in each snapshot. - `width`: of the
    network. - `leading`: how many variables drive the others, if not all.

    Estimator and design are the best ones of `predator-prey-estimators`; "lifted" and
    "without-replacement" are next to the paper's.
    """

    name: str
    estimator: str = "difference"
    fraction: float = 0.2
    design: str = "stratified-by-state"
    model: str = "onsagernet"
    scaling: str = "structured"
    width: int = 32
    leading: int | None = None

    def __post_init__(self) -> None:
        for what, name, table in (
            ("estimator", self.estimator, estimators.TABLE),
            ("design", self.design, designs.TABLE),
            ("model", self.model, macro.TABLE),
            ("scaling", self.scaling, macro.SCALINGS),
        ):
            if name not in table:
                raise ValueError(f"{what} must be one of {sorted(table)}, but got {name!r}.")


@dataclasses.dataclass(frozen=True)
class Contest:
    """What is compared, on what, and when.

    - `pool`: trajectories whose states are at hand for nothing; forces on them are bought.
    - `held_out`: trajectories for the scores; the forces on them are counted apart.
    - `budgets`: forces held by each learner at the end of each round, increasing.
    - `steps`: optimiser steps of each learner in each round.
    - `learning_rate`: peak of the cosine that begins anew in each round. Beginning at 5e-3 instead
      of 2e-3 throws some networks back so far that they do not recover.
    - `metric`: W of the loss, one over the mean square of each macroscopic variable about its mean
      ("spread") or of its rate ("rate"), both of the states in the pool.
    - `noise`, `restoring`: as in `train`.
    - `members`: seeds; each draws its own snapshots, sites, initial weights and batches.
    """

    system: AbstractSystem
    closure: Closure
    pool: Trajectories | StoredTrajectories
    held_out: Trajectories | StoredTrajectories
    learners: tuple[Learner, ...]
    budgets: tuple[int, ...] = (3_000, 6_000, 12_000, 24_000, 60_000)
    steps: int = 2_000
    members: int = 4
    learning_rate: float = 2e-3
    batch: int = 256
    seed: int = 0
    metric: str = "spread"
    noise: float = 0.0
    restoring: float = 0.0

    def __post_init__(self) -> None:
        if list(self.budgets) != sorted(set(self.budgets)) or not self.budgets:
            raise ValueError(f"budgets must increase from round to round, but got {self.budgets}.")
        if self.metric not in ("spread", "rate"):
            raise ValueError(f'metric must be "spread" or "rate", but got {self.metric!r}.')
        for learner in self.learners:
            estimator = estimators.TABLE[learner.estimator]()
            estimator.check(self._drawn(learner), self.system.num_sites)

    @functools.cached_property
    def units(self) -> Float[np.ndarray, " d"]:
        """What the macroscopic variables are measured in for W = 1/units²: one metric for all that
        is ever bought, from the states of the pool; no force is needed for it."""
        frames = self.pool.lengths - 1  # each has a next one
        count = affordable(1000, self.system, frames, numbers=1 << 21)
        run, time = spread_indices(frames, count, key=jax.random.key(self.seed))
        z = np.asarray(encode_states(self.closure, self.pool.take(run, time)))
        if self.metric == "spread":
            return z.std(axis=0)
        later = np.asarray(encode_states(self.closure, self.pool.take(run, time + 1)))
        step = float(self.pool.times[1] - self.pool.times[0])
        return np.sqrt((((later - z) / step) ** 2).mean(axis=0))

    def check(self) -> None:
        """Raise `ValueError` when a round buys nothing, or when the pool is too small for all."""
        frames = int(self.pool.lengths.sum())
        for learner in self.learners:
            each = self._drawn(learner)
            counts = [0, *(budget // each for budget in self.budgets)]
            if 0 in np.diff(counts):
                raise ValueError(
                    f"Every round must buy a snapshot, which is {each} forces for learner "
                    f"{learner.name!r}, but the budgets are {self.budgets}. Put them further apart."
                )
            if counts[-1] > frames:
                raise ValueError(
                    f"Learner {learner.name!r} would buy {counts[-1]} snapshots, but the pool has "
                    f"{len(self.pool)} trajectories with {frames} frames. Lower the budget, "
                    "raise the fraction, or simulate more trajectories."
                )

    def snapshots(self, learner: Learner, budget: int) -> int:
        """How many snapshots `budget` forces buy."""
        return max(1, budget // self._drawn(learner))

    def _drawn(self, learner: Learner) -> int:
        return number_drawn(learner.fraction, self.system.num_sites)


@dataclasses.dataclass(frozen=True)
class Score:
    """Of one learner at the end of one round: `error` of held-out roll-outs (members,), and
    `field_error` = mean |y − g|²/Var(y) (members, d) on held-out states."""

    learner: str
    forces: int
    step: int
    seconds: float
    error: Float[np.ndarray, " members"]
    field_error: Float[np.ndarray, "members d"]


def buy(contest: Contest, learner: Learner, before: int, budget: int) -> tuple[list[Labels], int]:
    """What each member buys between two budgets, labelled, and the number of new forces of each."""
    bought = [_buy(contest, learner, m, before, budget) for m in range(contest.members)]
    labels, costs = zip(*bought, strict=True)
    return list(labels), max(costs)


def hold(held: Labels | None, new: list[Labels], rows: int) -> Labels:
    """`new` of each member behind what is `held`, in arrays with room for `rows` snapshots."""
    begin = 0 if held is None else int(np.asarray(held.count)[0])

    def put(name: str) -> np.ndarray:
        more = np.stack([getattr(own, name) for own in new])
        whole = np.zeros((len(more), rows, *more.shape[2:]), more.dtype)
        if held is not None:
            whole = np.array(getattr(held, name))
        whole[:, begin : begin + more.shape[1]] = more
        return whole

    counts = np.array([begin + own.count for own in new], np.int32)
    return Labels(*jax.device_put([*map(put, ("z", "S", "b", "c")), counts]))


def _buy(
    contest: Contest, learner: Learner, member: int, before: int, budget: int
) -> tuple[Labels, int]:
    first = contest.snapshots(learner, before) if before else 0
    last = contest.snapshots(learner, budget)
    snapshot_key, site_key = jax.random.split(member_key(contest, member, 0))
    # Any prefix of the spread order is spread, so a budget that grows keeps what it has bought.
    run, time = spread_indices(contest.pool.lengths, last, key=snapshot_key)
    x = contest.pool.take(run[first:], time[first:])
    # In blocks of one size, so that no round waits for a compilation.
    block = contest.snapshots(learner, contest.budgets[0])
    parts = [
        _buy_block(
            contest, learner, x[i : i + block], block, jax.random.fold_in(site_key, first + i)
        )
        for i in range(0, len(x), block)
    ]
    labels = jax.tree.map(
        lambda *a: np.concatenate(a) if a[0].ndim else sum(a), *(p for p, _ in parts)
    )
    return labels, sum(cost for _, cost in parts)


def _buy_block(
    contest: Contest, learner: Learner, x: np.ndarray, block: int, key: Key
) -> tuple[Labels, int]:
    count = len(x)
    design = make_design(learner.design, contest.closure)
    bought = sample(contest.system, x, fraction=learner.fraction, design=design, key=key)
    # The block is filled up with copies of what was bought: no force is computed for them.
    filled = jax.tree.map(lambda a: _filled(a, block), bought)
    estimator = estimators.TABLE[learner.estimator]()
    labels = label(estimator, contest.closure, filled, spread=contest.units)
    cut = jax.tree.map(lambda a: np.asarray(a)[:count] if a.ndim else np.int32(count), labels)
    return cut, bought.forces


def _filled(array: Array, rows: int) -> Array:
    array = np.asarray(array)
    return jax.device_put(np.concatenate([array, np.repeat(array[-1:], rows - len(array), 0)]))


def member_key(contest: Contest, member: int, purpose: int) -> Key:
    """The key of one member for one purpose: 0 buying, 1 initial weights, 2 batches."""
    return jax.random.fold_in(jax.random.key(contest.seed + member), purpose)


def predict(
    models: MacroModel, starts: Float[AnyArray, "starts d"], times: Float[AnyArray, " times"]
) -> tuple[Float[np.ndarray, "members starts times d"], Float[np.ndarray, "members starts"]]:
    """Roll-outs z of an ensemble from each start, and when each left the region of trust (or ∞)."""
    # In blocks of one size: for one start or many it is compiled once.
    count = len(starts)
    filled = np.concatenate([starts, np.repeat(starts[-1:], -count % _BLOCK, axis=0)])
    times, *blocks = jax.device_put([times, *np.split(filled, len(filled) // _BLOCK)])
    parts = [_rollouts(models, block, times) for block in blocks]
    z, left_at = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    return z[:, :count], left_at[:, :count]


_BLOCK = 4


@eqx.filter_jit
def _rollouts(models: MacroModel, starts: Array, times: Array) -> tuple[Array, Array]:
    def one(model: MacroModel, start: Array) -> tuple[Array, Array]:
        run = rollout(model, start, times)
        return run.z, run.left_at

    return eqx.filter_vmap(lambda model: jax.vmap(lambda z: one(model, z))(starts))(models)


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What an ensemble expects from held-out starts, beside what came: arrays that stand alone.

    - `times`. - `truth`: observables, NaN behind the end of a run. - `predicted`: of each member,
    NaN from where it left the region of trust.
    """

    times: Float[np.ndarray, " times"]
    truth: Float[np.ndarray, "starts times k"]
    predicted: Float[np.ndarray, "members starts times k"]


def forecast(contest: Contest, models: MacroModel, starts: int = 8) -> Forecast:
    """Roll-outs of an ensemble from the first `starts` held-out runs."""
    test = TestSet(contest.closure, contest.held_out)
    times, lengths = np.asarray(test.times), np.asarray(test.lengths)[:starts]
    truth = np.asarray(test.observables)[:starts]
    z, left_at = predict(models, test.start[:starts], test.times)
    ended = np.arange(len(times)) >= lengths[:, None]
    gone = (times >= left_at[..., None]) | ended
    observed = np.where(gone[..., None], np.nan, z[..., : truth.shape[-1]])
    return Forecast(times, np.where(ended[..., None], np.nan, truth), observed)


class Judge:
    """Scores on held-out trajectories, the same for every learner."""

    def __init__(self, contest: Contest):
        self.test = TestSet(contest.closure, contest.held_out)
        count = affordable(500, contest.system, contest.held_out.lengths, numbers=1 << 20)
        x = spread(contest.held_out, count, key=jax.random.key(contest.seed))
        everything = sample(contest.system, x, key=jax.random.key(0))
        self.labels = label(estimators.Exact(), contest.closure, everything)

    def __call__(
        self, models: MacroModel, learner: Learner, forces: int, step: int, seconds: float
    ) -> Score:
        z, left_at = predict(models, self.test.start, self.test.times)
        members = zip(z, left_at, strict=True)
        errors = np.array([errors_of(*member, self.test).mean() for member in members])
        return Score(learner.name, forces, step, seconds, errors, field_error(models, self.labels))
