"""One row of the dashboard: a learner on an arena, and what came of it so far."""

import dataclasses
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from .. import experiments
from .._memory import release_growth, trim_memory
from ._worker import EVERY, SECONDS

# What a contest has beside its data and its learners.
SETTINGS = (
    *("budgets", "steps", "members", "learning_rate", "batch", "seed"),
    *("metric", "noise", "restoring"),
)


class Trial:
    """A contest of one learner, named, coloured, and able to outlive its data.

    - `name`: of its row. - `arena`: name of the contest it was made from, which is looked up
      again when it goes on. - `learner`, `settings`: what it was told. - `number`: its colour.
    - `shown`: whether it is drawn.

    `state` is "waiting", "running", "stopped", "finished" or "failed". `scores` and `forecast`
    need no arena.
    """

    def __init__(
        self,
        name: str,
        arena: str,
        learner: experiments.Learner,
        settings: Mapping[str, Any],
        number: int,
    ):
        self.name, self.arena, self.learner, self.number = name, arena, learner, number
        self.settings = dict(settings)
        self.shown, self.state, self.phase = True, "waiting", ""
        self.comparison: experiments.Comparison | None = None
        self.stored: bytes | None = None  # a comparison from a file, not yet read
        self.scores: tuple[experiments.Score, ...] = ()
        self.forecast: experiments.Forecast | None = None
        self.error: Exception | None = None
        self.told = False  # whether somebody was told of the error
        self.done, self.seconds_left, self.forces = 0.0, float("inf"), 0

    @property
    def finished(self) -> bool:
        return self.state == "finished"

    @property
    def last(self) -> experiments.Score | None:
        """The score of the latest round, if one is finished."""
        return self.scores[-1] if self.scores else None

    def contest(self, arena: experiments.Contest) -> experiments.Contest:
        """What is run: the data of the arena, this learner, these settings."""
        return dataclasses.replace(arena, learners=(self.learner,), **self.settings)

    def restore(self, arena: experiments.Contest) -> None:
        """Read what came from a file, now that there is an arena to read it with."""
        if self.stored is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.name[:40].replace('/', '-')}.mk"
            path.write_bytes(self.stored)
            self.comparison = experiments.load_comparison(path, self.contest(arena))
        self.stored = None

    def packed(self) -> bytes | None:
        """The networks and what they learn from, as a file; None before the start."""
        if self.comparison is None:
            return self.stored
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "comparison.mk"
            experiments.save_comparison(path, self.comparison)
            return path.read_bytes()

    def work(self, arena: experiments.Contest) -> Generator[None]:
        """Train to the end, an item after each chunk of steps."""
        release_growth()
        contest = self.contest(arena)
        self.restore(arena)
        if self.comparison is None:
            self.phase = "buying the first forces"
            yield
            self.comparison = experiments.open_comparison(contest)
            trim_memory()
        self.forces = max(self.comparison.forces)
        self.phase = "compiling"
        yield
        compiled = False
        progress = experiments.compare(contest, self.comparison, every=EVERY, seconds=SECONDS)
        for one in progress:
            if one.round_finished:
                self.scores = one.comparison.scores
                self.forecast = experiments.forecast(contest, one.comparison.models(0))
            if one.round_finished or not compiled:
                trim_memory()  # what was compiled since
            compiled, self.comparison, self.phase = True, one.comparison, ""
            self.done, self.seconds_left = one.done, one.seconds_left
            self.forces = max(one.comparison.forces)
            yield
        # What it learned from is not needed again, and of many variables it is large.
        self.comparison = dataclasses.replace(self.comparison, labels=())
