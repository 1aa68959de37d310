"""Clumsy hands: press and move whatever a panel has, in an order that a seed decides.

    python tools/clumsy.py [--minutes 5] [--seed 0] [--panel lab | dashboard | laboratory]

Two presses at once, buttons that are grey, every slider while it trains: nothing may hang, no
error may be swallowed, nothing that was learned may be lost, and memory may not grow by more than
100 MB. The last line says what was done; it ends with status 1 where one of these did not hold.
tests/test_clumsy.py does the same.
"""

import argparse
import collections
import dataclasses
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ipywidgets as widgets
import jax

import macrokit as mk
from macrokit import _memory, ui
from macrokit.ui import _worker

PATIENCE = 120  # seconds that anything may take, compilation included


def parts(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


class Hands:
    """A pair of hands before one panel.

    - `learned`: panel → what must not get lost: name → number of scores. - `forgiven`: buttons that
    are there to forget.
    """

    def __init__(
        self,
        panel: ui.Lab | ui.Dashboard | ui.EstimatorLaboratory,
        learned: Callable[[], dict[int, int]],
        seed: int,
        forgiven: tuple[str, ...] = ("Reset", "Delete"),
    ):
        self.panel, self.learned, self.forgiven = panel, learned, forgiven
        self.dice = random.Random(seed)
        self.done: collections.Counter[str] = collections.Counter()

    def act(self) -> None:
        """One press or move; raises where it takes too long or where something was lost."""
        part = self.dice.choice([p for p in parts(self.panel.widget) if _usable(p)])
        before, begun = self.learned(), time.monotonic()
        if isinstance(part, widgets.Button):
            for _ in range(self.dice.choice((1, 1, 2))):  # some press twice
                part.click()
        else:
            part.value = self._value(part)
        name = f"{type(part).__name__} {part.description or part.tooltip}"
        self.done[name] += 1
        if time.monotonic() - begun > PATIENCE:
            raise AssertionError(f"{name} took {time.monotonic() - begun:.0f} s")
        after = self.learned()
        lost = [n for n, count in before.items() if after.get(n, 0) < count]
        if lost and part.description not in self.forgiven:
            raise AssertionError(f"{name} lost {len(lost)} results")

    def act_for(self, seconds: float) -> None:
        """Act until the time is up, with pauses as people make them."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.act()
            time.sleep(self.dice.choice((0, 0, 0.05, 0.5)))

    def rest(self) -> None:
        """Hold whatever trains, and wait until it does."""
        getattr(self.panel, "session", self.panel).stop()
        _ended(self.panel.wait(PATIENCE))

    def _value(self, part: widgets.Widget) -> object:
        if isinstance(part, widgets.Text):
            return self.dice.choice(("", " ", "<b>mine</b>", "one", "one"))
        if isinstance(part, widgets.Checkbox):
            return not part.value
        if hasattr(part, "options"):
            return self.dice.choice([value for _, value in part._options_full])
        if isinstance(part, widgets.FloatLogSlider):
            return part.base ** self.dice.uniform(part.min, part.max)
        if isinstance(part, widgets.IntSlider):
            return self.dice.randint(part.min, part.max)
        return self.dice.uniform(part.min, part.max)


def _usable(part: widgets.Widget) -> bool:
    kinds = (widgets.Text, widgets.Checkbox, widgets.Dropdown, widgets.SelectionSlider)
    sliders = (widgets.IntSlider, widgets.FloatSlider, widgets.FloatLogSlider)
    return isinstance(part, (widgets.Button, *kinds, *sliders))


def small_contest() -> mk.experiments.Contest:
    """Predator and prey, so small that a round is a matter of seconds."""
    data = mk.experiments.predator_prey(12, 2)
    learners = (
        mk.experiments.Learner("all forces", "exact", 1.0, width=8),
        mk.experiments.Learner("a fifth of the forces", "difference", 0.2, width=8),
    )
    return mk.experiments.Contest(
        *(data.system, data.closure, data.training, data.validation, learners),
        budgets=(1_000, 2_000, 4_000, 8_000),
        steps=200,
        members=2,
        batch=16,
    )


def lab(folder: Path, seed: int) -> tuple[Hands, Callable[[], None]]:
    """Before the two panels of notebook 01; afterwards a whole run must come out as ever."""
    contest = small_contest()
    panel = ui.Lab(contest, folder=folder)

    def finish() -> None:
        panel.reset()
        for part in (panel.comparison.fraction, panel.comparison.width, panel.comparison.budget):
            part.value = {"fraction p": 0.2, "width": 8, "budget": 8_000}[part.description]
        panel.comparison.rate.value = contest.learning_rate
        panel.start()
        _ended(panel.wait(PATIENCE))
        *_, last = mk.experiments.compare(contest)
        ours, theirs = panel.run.scores, last.comparison.scores
        assert [s.error.tolist() for s in ours] == [s.error.tolist() for s in theirs]

    return Hands(panel, lambda: {0: len(panel.run.scores)}, seed), finish


def dashboard(folder: Path, seed: int) -> tuple[Hands, Callable[[], None]]:
    """Before the dashboard; afterwards its runs must go on, end, and be the same in a file."""
    contest = dataclasses.replace(small_contest(), steps=50)
    panel = ui.Dashboard({"here": contest}, folder=folder)
    session = panel.session

    def finish() -> None:
        for trial in session.trials[3:]:
            session.delete(trial)
        session.start()
        _ended(panel.wait(PATIENCE))
        assert {trial.state for trial in session.trials} <= {"finished"}
        again = ui.Dashboard({"here": contest})
        if session.trials:
            again.open_session(panel.save_session())
        for mine, theirs in zip(again.session.trials, session.trials, strict=True):
            bought = [score.forces for score in mine.scores]
            assert bought == [score.forces for score in theirs.scores]
            for forces, budget in zip(bought, theirs.settings["budgets"], strict=True):
                # Whole snapshots, and what is drawn twice is bought once.
                assert 0.6 * budget < forces <= budget
            assert [s.error.tolist() for s in mine.scores] == [
                s.error.tolist() for s in theirs.scores
            ]
        again.close()

    return Hands(panel, lambda: {id(t): len(t.scores) for t in session.trials}, seed), finish


def laboratory(folder: Path, seed: int) -> tuple[Hands, Callable[[], None]]:
    """Before the estimator laboratory; afterwards it must still find its estimators unbiased."""
    contest = small_contest()
    states = mk.spread(contest.pool, 5, key=jax.random.key(0))
    panel = ui.EstimatorLaboratory(contest.system, contest.closure, states)

    def finish() -> None:
        panel.start()
        _ended(panel.wait(PATIENCE))
        assert "biased!" not in panel.status.value

    return Hands(panel, dict, seed), finish


def _ended(ended: bool) -> None:
    if not ended:
        raise AssertionError(f"it did not stop within {PATIENCE} s")


PANELS = {"lab": lab, "dashboard": dashboard, "laboratory": laboratory}


def resident() -> float:
    """MB in memory, after everything that can be made again has been let go of."""
    mk.release_memory()
    return _memory.resident() / 1e6


def clumsy(panel: str, seconds: float, seed: int, folder: Path) -> str:
    """Act, see that all is well, and say what was done. Raises `AssertionError` if it is not."""
    hands, finish = PANELS[panel](folder, seed)
    # What is set up once is no growth: twice the same, and between the two all that hands can do.
    hands.act_for(min(20.0, seconds / 3))
    hands.rest()
    finish()
    begin = resident()
    hands.act_for(seconds)
    hands.rest()
    finish()
    growth = resident() - begin
    if growth > 100:
        raise AssertionError(f"memory grew by {growth:.0f} MB")
    total = sum(hands.done.values())
    return f"{panel}: {total} acts on {len(hands.done)} controls, memory {growth:+.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--panel", choices=sorted(PANELS), action="append")
    chosen = parser.parse_args()
    if _worker.headless():
        raise SystemExit("Run it without MACROKIT_HEADLESS: only then there are threads.")
    panels = chosen.panel or list(PANELS)
    with tempfile.TemporaryDirectory() as folder:
        for panel in panels:
            seconds = 60 * chosen.minutes / len(panels)
            print(clumsy(panel, seconds, chosen.seed, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
