"""The dashboard without its widgets: arenas, trials, one worker that takes them in turn."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any

from .. import experiments
from . import _worker
from ._trial import SETTINGS, Trial

Arena = experiments.Contest | Callable[[], experiments.Contest]


class Session:
    """Trials on arenas, in a row that one worker takes in turn.

    - `arenas`: name → a contest whose data, closure and settings are used, or what makes one; its
      learners are the first proposals. What makes one is called when it is first needed.

    A trial that fails does not stop those behind it. `stop` holds the row; `start` goes on where
    it stopped.
    """

    def __init__(self, arenas: Mapping[str, Arena]):
        self.arenas = dict(arenas)
        self.trials: list[Trial] = []
        self.preparing: set[str] = set()
        self.problems: dict[str, Exception] = {}  # of arenas that could not be made
        self._made = {n: a for n, a in self.arenas.items() if isinstance(a, experiments.Contest)}
        self._locks = {name: threading.Lock() for name in self.arenas}
        self._count = 0
        self._watchers = _worker.Watchers()
        self._worker = _worker.Worker(self._watchers.tell_some, lambda _: self._watchers.tell())

    @property
    def running(self) -> bool:
        return self._worker.running

    @property
    def stopping(self) -> bool:
        return self._worker.running and self._worker.stopping

    @property
    def current(self) -> Trial | None:
        """The trial that is being trained."""
        return next((trial for trial in self.trials if trial.state == "running"), None)

    @property
    def unfinished(self) -> list[Trial]:
        """Those that `start` would go on with."""
        return [trial for trial in self.trials if trial.state in ("waiting", "stopped")]

    def watch(self, look: Callable[[], None]) -> None:
        """Have `look` called when there is something new, as often as is affordable, and at the
        end."""
        self._watchers.add(look)

    # --- arenas -------------------------------------------------------------------------------

    def made(self, name: str) -> experiments.Contest | None:
        """The arena, if it is there already."""
        return self._made.get(name)

    def arena(self, name: str) -> experiments.Contest:
        """The arena, made now if need be. Raises `ValueError` where it is not known."""
        if name not in self.arenas:
            raise ValueError(
                f"This trial belongs to {name!r}, which is not among the arenas of this dashboard, "
                f"{sorted(self.arenas)}. Make it with ui.Dashboard({{{name!r}: contest, ...}})."
            )
        with self._locks[name]:
            if name not in self._made:
                self._made[name] = self.arenas[name]()
            return self._made[name]

    def prepare(self, name: str) -> None:
        """Make an arena beside what else is going on; watchers are told when it is there."""
        if name in self._made or name in self.preparing:
            return

        def make() -> None:
            try:
                self.arena(name)
            except Exception as error:
                self.problems[name] = error
            self.preparing.discard(name)
            self._watchers.tell()

        self.preparing.add(name)
        self.problems.pop(name, None)
        if _worker.headless():
            make()
        else:
            threading.Thread(target=make, daemon=True).start()

    # --- trials -------------------------------------------------------------------------------

    def add(
        self, arena: str, learner: experiments.Learner, *, name: str = "", **settings: Any
    ) -> Trial:
        """A new trial behind the others; `start` sets it going.

        - `settings`: of the contest, where they are not the arena's.

        Raises `ValueError`, and adds nothing, where the contest cannot be held with them.
        """
        contest = dataclasses.replace(self.arena(arena), learners=(learner,), **settings)
        contest.check()
        chosen = {setting: getattr(contest, setting) for setting in SETTINGS}
        trial = Trial(self._free(name or learner.name), arena, learner, chosen, self._count)
        self._count += 1
        self.trials.append(trial)
        self._watchers.tell()
        return trial

    def find(self, arena: str, learner: experiments.Learner, **settings: Any) -> Trial | None:
        """The trial that was told the same, whatever it is called."""
        for trial in self.trials:
            same = dataclasses.replace(trial.learner, name=learner.name) == learner
            if same and trial.arena == arena and trial.settings | settings == trial.settings:
                return trial
        return None

    def rename(self, trial: Trial, name: str) -> None:
        """Another name; one that is taken gets a number behind it, an empty one changes nothing."""
        if name.strip() and name != trial.name:
            trial.name = self._free(name.strip())
        self._watchers.tell()

    def show(self, trial: Trial, shown: bool) -> None:
        """Draw it, or do not."""
        trial.shown = shown
        self._watchers.tell()

    def delete(self, trial: Trial) -> None:
        """Forget it. If it is being trained, that ends after the present chunk of steps, and the
        next one begins."""
        if trial in self.trials:
            self.trials.remove(trial)
        self._watchers.tell()

    def retry(self, trial: Trial) -> None:
        """Let a trial that failed have its turn again, from where it was."""
        if trial.state == "failed":
            trial.state, trial.error = "stopped", None
        self.start()

    def adopt(self, trials: list[Trial]) -> None:
        """Put trials from a file behind the others, with free names and colours."""
        for trial in trials:
            trial.name = self._free(trial.name)
            trial.number = self._count
            self._count += 1
            self.trials.append(trial)
        self._watchers.tell()

    def _free(self, name: str) -> str:
        taken, number, free = {trial.name for trial in self.trials}, 1, name
        while free in taken:
            number += 1
            free = f"{name} ({number})"
        return free

    # --- work ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Train what is unfinished, one after the other. Does nothing while that goes on."""
        if self._worker.running or not self.unfinished:
            return
        self._worker.start(self._items)
        if _worker.headless():
            self.wait()

    def stop(self) -> None:
        """Hold after the present chunk of steps; networks stay usable."""
        if self._worker.running:
            self._worker.stop()
            self._watchers.tell()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the row is done or held; re-raise what went wrong in a trial, once."""
        ended = self._worker.wait(timeout)
        untold = [trial for trial in self.trials if trial.error is not None and not trial.told]
        if ended and untold:
            untold[0].told = True
            raise untold[0].error
        return ended

    def _items(self) -> Generator[None]:
        while self.unfinished:
            yield from self._train(self.unfinished[0])

    def _train(self, trial: Trial) -> Generator[None]:
        trial.state, trial.error, trial.told = "running", None, False
        try:
            trial.phase = "simulating" if self.made(trial.arena) is None else ""
            yield
            with contextlib.closing(trial.work(self.arena(trial.arena))) as items:
                for _ in items:
                    yield
                    if trial not in self.trials:  # deleted meanwhile
                        return
            trial.state = "finished"
        except Exception as error:
            trial.state, trial.error = "failed", error
        finally:
            trial.phase = ""
            if trial.state == "running":
                trial.state = "stopped"
