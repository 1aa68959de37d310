"""The contest in rounds: learners buy equal numbers of forces, train on all they hold, are scored.

`compare` is an iterator whose state is a value, like `train`: stop with `break`, resume by passing
`progress.comparison` back.
"""

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .. import macro
from .._memory import trim_memory
from .._optimiser import Cosine, TrainingState, start
from .._parallel import cores
from .._rollout import MacroModel, standardisation
from .._storage import hyperparameters, load, save
from .._training import Direction, iterate, stack
from .._types import Key, Keys
from ..estimators import Labels
from ._contest import Contest, Judge, Learner, Score, buy, hold, member_key


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
    - `seconds_left`: estimate, ∞ as long as there is none. - `loss`: mean training loss per learner
    since its last report (of different estimators: never to be put on one axis)."""

    comparison: Comparison
    done: float
    seconds_left: float
    loss: tuple[np.ndarray, ...]
    round_finished: bool


def open_comparison(contest: Contest) -> Comparison:
    """Buy the first round and set up the networks."""
    contest.check()
    states, labels, forces = [], [], []
    rows = _rows(contest)
    for learner in contest.learners:
        bought, cost = buy(contest, learner, 0, contest.budgets[0])
        states.append(_untrained(contest, learner, [standardisation(own) for own in bought]))
        labels.append(hold(None, bought, rows))
        forces.append(cost)
    nothing = (0.0,) * len(contest.learners)
    return Comparison(tuple(states), tuple(labels), tuple(forces), 0, (), nothing)


def _rows(contest: Contest) -> int:
    """The same room for all, so that learners of one kind share what is compiled for them."""
    return max(contest.snapshots(learner, contest.budgets[-1]) for learner in contest.learners)


def _untrained(contest: Contest, learner: Learner, statistics: Sequence[Any]) -> TrainingState:
    """- `statistics`: of each member, for its scaling."""
    keys = [
        jnp.stack([member_key(contest, m, purpose) for m in range(contest.members)])
        for purpose in (1, 2)
    ]
    fields = _new_fields(learner, len(statistics[0][0]), keys[0])
    scaling = macro.SCALINGS[learner.scaling]
    models = MacroModel(fields, stack([scaling(*numbers) for numbers in statistics]))
    schedule = Cosine(contest.learning_rate, contest.steps)
    return start(models, schedule, key=keys[1], members=contest.members)


def save_comparison(path: str | os.PathLike, comparison: Comparison) -> None:
    """Write a contest in progress: networks, optimisers, what each learner holds, scores.

    One that is finished may have had its `labels` taken away, `()`.
    """
    said = {name: getattr(comparison, name) for name in ("forces", "round", "seconds")}
    said["holders"] = len(comparison.labels)
    scores = [dataclasses.asdict(score) for score in comparison.scores]
    said["scores"] = [
        {name: np.asarray(value).tolist() for name, value in score.items()} for score in scores
    ]
    save(path, (comparison.states, comparison.labels), said)


def load_comparison(path: str | os.PathLike, contest: Contest) -> Comparison:
    """Read a file of `save_comparison`; `compare` goes on with it bit by bit.

    - `contest`: the one that it belongs to.

    Raises `ValueError` where it is not.
    """
    said = hyperparameters(path)
    dim = len(contest.units)
    numbers = (jnp.zeros(dim), jnp.ones(dim), jnp.zeros(dim), jnp.ones(dim))
    statistics = [numbers] * contest.members
    states = tuple(_untrained(contest, one, statistics) for one in contest.learners)
    shape = (contest.members, _rows(contest), dim)
    zeros = jnp.zeros(shape)
    labels = Labels(
        zeros,
        jnp.zeros((*shape, dim)),
        zeros,
        jnp.zeros(shape[:2]),
        jnp.zeros(contest.members, jnp.int32),
    )
    states, labels = load(path, like=(states, (labels,) * said["holders"]))
    scores = tuple(
        Score(**one | {name: np.array(one[name], float) for name in ("error", "field_error")})
        for one in said["scores"]
    )
    forces, seconds = tuple(said["forces"]), tuple(said["seconds"])
    return Comparison(states, labels, forces, said["round"], scores, seconds)


def _new_fields(learner: Learner, dim: int, keys: Keys) -> macro.AbstractMacro:
    settings = learner.model, dim, learner.width, learner.leading
    drawn = _draw_fields(*settings, keys)
    shapes = eqx.filter_eval_shape(lambda key: _new_field(*settings, key), jax.random.key(0))
    return eqx.combine(drawn, eqx.filter(shapes, _is_shape, inverse=True))


def _new_field(
    name: str, dim: int, width: int, leading: int | None, key: Key
) -> macro.AbstractMacro:
    return macro.build(name, dim, width, leading=leading, key=key)


# Run once on a few thousand numbers: what counts is how long it compiles.
@functools.partial(
    jax.jit, static_argnums=(0, 1, 2, 3), compiler_options={"xla_backend_optimization_level": 0}
)
def _draw_fields(
    name: str, dim: int, width: int, leading: int | None, keys: Keys
) -> macro.AbstractMacro:
    fields = eqx.filter_vmap(lambda key: _new_field(name, dim, width, leading, key))(keys)
    return eqx.filter(fields, eqx.is_array)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def compare(
    contest: Contest,
    comparison: Comparison | None = None,
    *,
    every: int = 250,
    seconds: float = float("inf"),
    learning_rate: Callable[[], float] | None = None,
) -> Iterator[ComparisonProgress]:
    """Run the contest from where `comparison` is, a `ComparisonProgress` per chunk of steps.

    - `every`: steps of each learner between two reports; fewer where they take over `seconds`.
    - `learning_rate`: asked before each chunk, so that a slider takes effect at once; nothing is
      recompiled.
    """
    current = open_comparison(contest) if comparison is None else comparison
    trim_memory()  # of what compiling the labels freed, before the training steps are compiled
    prepared = _prepare(functools.partial(_judge, contest, current, jax.config.jax_enable_x64))
    judge, pace = None, float("inf")
    total = len(contest.budgets) * contest.steps
    while current.round < len(contest.budgets):
        end = (current.round + 1) * contest.steps
        while int(current.states[0].step) < end:
            begun = time.perf_counter()
            chunk = min(every, end - int(current.states[0].step))
            if pace < float("inf"):
                chunk = max(1, int(min(chunk, seconds / pace)))
            peak = contest.learning_rate if learning_rate is None else learning_rate()
            current, loss = _train_all(contest, current, peak, chunk)
            now = (time.perf_counter() - begun) / chunk
            if judge is not None:  # the first chunk is compilation and tells nothing of the others
                pace = now if pace > 3 * now else 0.7 * pace + 0.3 * now
            judge = prepared()
            step = int(current.states[0].step)
            if step < end:
                left = pace * (total - step)
                yield ComparisonProgress(current, step / total, left, loss, False)
        scores = _scores(prepared(), contest, current)
        current = dataclasses.replace(current, scores=current.scores + scores)
        trim_memory()  # of compilation, before more is bought
        current = _next_round(contest, current)
        step = int(current.states[0].step)
        left = pace * (total - step) if step < total else 0.0
        yield ComparisonProgress(current, step / total, left, loss, True)


def _prepare(make: Callable[[], Judge]) -> Callable[[], Judge]:
    """A judge is compiled while the first chunk is, so that the end of a round does not stall; but
    after it where there is one core, as two compilations at once need the memory of both."""
    if cores() == 1:
        return functools.cache(make)
    pool = ThreadPoolExecutor(1)
    judging = pool.submit(make)
    pool.shutdown(wait=False)
    return judging.result


def _judge(contest: Contest, current: Comparison, double: bool) -> Judge:
    """A judge who has judged once, and is compiled."""
    with jax.enable_x64(double):  # belongs to a thread, so it is handed on
        judge = Judge(contest)
        _scores(judge, contest, current)
    return judge


def _scores(judge: Judge, contest: Contest, current: Comparison) -> tuple[Score, ...]:
    columns = (current.states, contest.learners, current.forces, current.seconds)
    return tuple(
        judge(state.model, learner, forces, int(state.step), seconds)
        for state, learner, forces, seconds in zip(*columns, strict=True)
    )


def _train_all(
    contest: Contest, current: Comparison, peak: float, chunk: int
) -> tuple[Comparison, tuple[np.ndarray, ...]]:
    states, losses, seconds = [], [], []
    direction = Direction(contest.batch, contest.noise, contest.restoring)
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
        new, cost = buy(contest, learner, contest.budgets[number - 1], contest.budgets[number])
        labels.append(hold(held, new, held.z.shape[1]))
        forces.append(spent + cost)
    return dataclasses.replace(current, labels=tuple(labels), forces=tuple(forces), round=number)
