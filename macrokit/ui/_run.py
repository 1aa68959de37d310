"""A contest in progress: what the comparison panel shows, without any widget."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator

from .. import experiments
from .._memory import release_growth, trim_memory
from ._worker import EVERY, SECONDS, Watchers, Worker


class Run:
    """A contest that can be started, stopped, resumed and reset, and whose state is a value.

    - `contest`: what is compared; change it by `change`, which holds from the next start.
    - `learning_rate`: asked before each chunk of steps.

    `state` is "ready", "running", "stopping", "stopped", "finished" or "failed".
    """

    def __init__(self, contest: experiments.Contest):
        self.contest = contest
        self.learning_rate = contest.learning_rate
        self.comparison: experiments.Comparison | None = None
        self.progress: experiments.ComparisonProgress | None = None
        self.error: BaseException | None = None
        self.phase = ""
        self._state = "ready"
        self._watchers = Watchers()
        self._worker = Worker(self._watchers.tell_some, self._done)

    @property
    def state(self) -> str:
        if self._state == "running" and self._worker.stopping:
            return "stopping"
        return self._state

    @property
    def scores(self) -> tuple[experiments.Score, ...]:
        """Of the rounds that are finished."""
        return () if self.comparison is None else self.comparison.scores

    @property
    def done(self) -> float:
        """Share of all steps, 0 … 1."""
        return 0.0 if self.progress is None else self.progress.done

    def models(self, index: int) -> object:
        """The ensemble of learner `index`, as trained so far; None before the start."""
        return None if self.comparison is None else self.comparison.models(index)

    def watch(self, look: Callable[[], None]) -> None:
        """Have `look` called when there is something new, as often as is affordable, and at the
        end."""
        self._watchers.add(look)

    def start(self) -> None:
        """Start, or go on from where it stopped. Does nothing while it runs or once finished."""
        if self._worker.running or self._state == "finished":
            return
        self.error, self._state = None, "running"
        self._worker.start(self._items)

    resume = start

    def stop(self) -> None:
        """Stop after the present chunk of steps; the models stay usable."""
        if self._worker.running:
            self._worker.stop()
            self._watchers.tell()

    def reset(self) -> None:
        """Stop, wait, and forget what was learned."""
        self.stop()
        # What it raised was shown when it happened, and is forgotten with the rest.
        with contextlib.suppress(Exception):
            self._worker.wait()
        self.comparison = self.progress = self.error = None
        self._state, self.phase = "ready", ""
        self._watchers.tell()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the run has stopped or finished; re-raise its exception."""
        return self._worker.wait(timeout)

    def change(self, **settings: object) -> None:
        """Other settings of the contest; only before the start, or after a reset.

        Raises `ValueError`, and changes nothing, when the contest cannot be held with them.
        """
        if self.comparison is not None or self._worker.running:
            raise ValueError("The contest has begun. Reset it before you change it.")
        contest = dataclasses.replace(self.contest, **settings)
        contest.check()
        self.contest = contest

    def _items(self) -> Generator[None]:
        if self.comparison is None:
            self.phase = "buying the first forces"
            yield
            release_growth()
            self.comparison = experiments.open_comparison(self.contest)
            trim_memory()
        self.phase = "compiling"
        yield
        for progress in experiments.compare(
            self.contest,
            self.comparison,
            every=EVERY,
            seconds=SECONDS,
            learning_rate=lambda: self.learning_rate,
        ):
            if self.progress is None or progress.round_finished:
                trim_memory()  # what was compiled since
            self.comparison, self.progress, self.phase = progress.comparison, progress, ""
            yield

    def _done(self, error: BaseException | None) -> None:
        self.error = error
        rounds = len(self.contest.budgets)
        if error is not None:
            self._state = "failed"
        elif self.comparison is not None and self.comparison.round == rounds:
            self._state = "finished"
        else:
            self._state = "stopped"
        self.phase = ""
        self._watchers.tell()
