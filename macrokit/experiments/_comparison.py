"""The contest in rounds: learners buy equal numbers of forces, train on all they hold, are scored.

`compare` is an iterator whose state is a value, like `train`: stop with `break`, resume by passing
`progress.comparison` back.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import designs, estimators, macro
from .._closure import Closure
from .._diagnostics import field_error
from .._optimiser import Cosine, TrainingState, start
from .._rollout import TestSet, macro_model, test_errors
from .._sampling import sample, spread
from .._simulation import Trajectories
from .._training import Direction, iterate, stack
from ..estimators import Labels, label
from ..systems import AbstractSystem


@dataclasses.dataclass(frozen=True)
class Learner:
    """One competitor. - `name`: for plots. - `estimator`, `design`, `model`, `scaling`: names of
    the catalogues. - `fraction`: share of the sites it buys in each snapshot. - `width`: of the
    network."""

    name: str
    estimator: str
    fraction: float
    design: str = "without-replacement"
    model: str = "onsagernet"
    scaling: str = "structured"
    width: int = 32

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
    - `members`: seeds; each draws its own snapshots, sites, initial weights and batches.
    """

    system: AbstractSystem
    closure: Closure
    pool: Trajectories
    held_out: Trajectories
    learners: tuple[Learner, ...]
    budgets: tuple[int, ...] = (3_000, 6_000, 12_000, 24_000, 60_000)
    steps: int = 2_000
    members: int = 3
    learning_rate: float = 5e-3
    batch: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if list(self.budgets) != sorted(set(self.budgets)) or not self.budgets:
            raise ValueError(f"budgets must increase from round to round, but got {self.budgets}.")
        for learner in self.learners:
            estimator = estimators.TABLE[learner.estimator]()
            drawn = max(1, round(learner.fraction * self.system.num_sites))
            estimator.check(drawn, self.system.num_sites)

    def snapshots(self, learner: Learner, budget: int) -> int:
        """How many snapshots `budget` forces buy."""
        return max(1, budget // max(1, round(learner.fraction * self.system.num_sites)))


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


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A contest in progress, as a value.

    - `states`: one ensemble's training state per learner. - `labels`: what each holds.
    - `round`: the round being trained. - `scores`: of finished rounds. - `seconds`: trained so far,
      per learner.
    """

    states: tuple[TrainingState, ...]
    labels: tuple[Labels, ...]
    forces: tuple[int, ...]
    round: int
    scores: tuple[Score, ...]
    seconds: tuple[float, ...]

    def models(self, index: int) -> eqx.Module:
        """The ensemble of learner number `index`."""
        return self.states[index].model


@dataclasses.dataclass(frozen=True)
class ComparisonProgress:
    """One report. - `comparison`: pass it back to resume. - `done`: share of all steps, 0 … 1.
    - `seconds_left`: estimate. - `loss`: mean training loss per learner since its last report (of
    different estimators: never to be put on one axis)."""

    comparison: Comparison
    done: float
    seconds_left: float
    loss: tuple[np.ndarray, ...]
    round_finished: bool


def open_comparison(contest: Contest) -> Comparison:
    """Buy the first round and set up the networks."""
    states, labels, forces = [], [], []
    # The same room for all, so that learners of one kind share what is compiled for them.
    rows = max(contest.snapshots(learner, contest.budgets[-1]) for learner in contest.learners)
    for learner in contest.learners:
        held = [_buy(contest, learner, m, 0, contest.budgets[0]) for m in range(contest.members)]
        keys = [
            jnp.stack([_key(contest, m, purpose) for m in range(contest.members)])
            for purpose in (1, 2)
        ]
        fields = _new_fields(learner.model, held[0][0].z.shape[-1], learner.width, keys[0])
        scaling = macro.SCALINGS[learner.scaling]
        scalings = stack([scaling(*standardisation(data)) for data, _ in held])
        models = MacroModel(fields, scalings)
        schedule = Cosine(contest.learning_rate, contest.steps)
        states.append(start(models, schedule, key=keys[1], members=contest.members))
        labels.append(stack([data.padded(rows) for data, _ in held]))
        forces.append(max(spent for _, spent in held))
    nothing = (0.0,) * len(contest.learners)
    return Comparison(tuple(states), tuple(labels), tuple(forces), 0, (), nothing)


@eqx.filter_jit
def _new_fields(name: str, dim: int, width: int, keys: Array) -> macro.AbstractMacro:
    return eqx.filter_vmap(lambda key: macro.TABLE[name](dim, width, key=key))(keys)


def compare(
    contest: Contest,
    comparison: Comparison | None = None,
    *,
    every: int = 250,
    learning_rate: Callable[[], float] | None = None,
) -> Iterator[ComparisonProgress]:
    """Run the contest from where `comparison` is, a `ComparisonProgress` per chunk of steps.

    - `every`: steps of each learner between two reports.
    - `learning_rate`: asked before each chunk, so that a slider takes effect at once; nothing is
      recompiled.
    """
    current = open_comparison(contest) if comparison is None else comparison
    judge = _Judge(contest)
    # Judged once and dropped: it is compiled here, and the end of a round does not stall.
    judge(current, 0, contest.learners[0])
    pace: float | None = None
    total = len(contest.budgets) * contest.steps
    while current.round < len(contest.budgets):
        end = (current.round + 1) * contest.steps
        while int(current.states[0].step) < end:
            begun = time.perf_counter()
            chunk = min(every, end - int(current.states[0].step))
            peak = contest.learning_rate if learning_rate is None else learning_rate()
            current, loss = _train_all(contest, current, peak, chunk)
            now = time.perf_counter() - begun
            # The first chunk is compilation; later ones are averaged.
            pace = (
                now / chunk
                if pace is None or pace > 3 * now / chunk
                else (0.7 * pace + 0.3 * now / chunk)
            )
            step = int(current.states[0].step)
            if step < end:
                left = pace * (total - step)
                yield ComparisonProgress(current, step / total, left, loss, False)
        scores = tuple(judge(current, i, learner) for i, learner in enumerate(contest.learners))
        current = dataclasses.replace(current, scores=current.scores + scores)
        current = _next_round(contest, current)
        step = int(current.states[0].step)
        yield ComparisonProgress(current, step / total, pace * (total - step), loss, True)


def _train_all(
    contest: Contest, current: Comparison, peak: float, chunk: int
) -> tuple[Comparison, tuple[np.ndarray, ...]]:
    states, losses, seconds = [], [], []
    direction = Direction(contest.batch)
    for state, labels, spent in zip(current.states, current.labels, current.seconds, strict=True):
        begin = current.round * contest.steps
        schedule = Cosine(peak, contest.steps, begin=begin)
        state = eqx.tree_at(lambda s: s.schedule, state, schedule)
        last = int(state.step) + chunk
        for progress in iterate(direction, state, labels, steps=last, every=chunk, shared=False):
            states.append(progress.state)
            losses.append(progress.loss)
            seconds.append(spent + progress.seconds)
    advanced = dataclasses.replace(current, states=tuple(states), seconds=tuple(seconds))
    return advanced, tuple(losses)


def _next_round(contest: Contest, current: Comparison) -> Comparison:
    """Buy what the next round adds; everything bought before stays."""
    number = current.round + 1
    if number == len(contest.budgets):
        return dataclasses.replace(current, round=number)
    labels, forces = [], []
    for learner, held, spent in zip(contest.learners, current.labels, current.forces, strict=True):
        before = contest.budgets[number - 1]
        new = [
            _buy(contest, learner, m, before, contest.budgets[number])
            for m in range(contest.members)
        ]
        labels.append(_append(held, stack([data for data, _ in new])))
        forces.append(spent + max(cost for _, cost in new))
    return dataclasses.replace(current, labels=tuple(labels), forces=tuple(forces), round=number)


def _append(held: Labels, new: Labels) -> Labels:
    begin = int(held.count[0])
    rows = slice(begin, begin + new.z.shape[1])

    def put(old: Array, more: Array) -> Array:
        return old.at[:, rows].set(more)

    return Labels(
        put(held.z, new.z),
        put(held.S, new.S),
        put(held.b, new.b),
        put(held.c, new.c),
        held.count + new.count,
    )


def _buy(
    contest: Contest, learner: Learner, member: int, before: int, budget: int
) -> tuple[Labels, int]:
    """The snapshots between two budgets, labelled, and the number of new forces."""
    first = contest.snapshots(learner, before) if before else 0
    last = contest.snapshots(learner, budget)
    snapshot_key, site_key = jax.random.split(_key(contest, member, 0))
    # Any prefix of the spread order is spread, so a budget that grows keeps what it has bought.
    run, time = spread_indices(*contest.pool.x.shape[:2], last, key=snapshot_key)
    x = np.asarray(contest.pool.x)[run[first:], time[first:]]
    # In blocks of one size, so that no round waits for a compilation.
    block = contest.snapshots(learner, contest.budgets[0])
    bought = [
        _buy_block(contest, learner, x[i : i + block], block, jax.random.fold_in(site_key, i))
        for i in range(0, len(x), block)
    ]
def _key(contest: Contest, member: int, purpose: int) -> Array:
    return jax.random.fold_in(jax.random.key(contest.seed + member), purpose)


class _Judge:
    """Scores on held-out trajectories, the same for every learner."""

    def __init__(self, contest: Contest):
        self.test = TestSet(contest.closure, contest.held_out)
        count = min(500, contest.held_out.x.shape[0] * contest.held_out.x.shape[1])
        x = spread(contest.held_out, count, key=jax.random.key(contest.seed))
        everything = sample(contest.system, x, key=jax.random.key(0))
        self.labels = label(estimators.Exact(), contest.closure, everything)

    def __call__(self, current: Comparison, index: int, learner: Learner) -> Score:
        models = current.models(index)
        return Score(
            learner.name,
            current.forces[index],
            int(current.states[index].step),
            current.seconds[index],
            test_errors(models, self.test),
            field_error(models, self.labels),
        )
