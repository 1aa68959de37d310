"""The comparison panel: learners buy forces in rounds, side by side."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

from .. import experiments
from . import _files, _sentences
from ._display import LEFT, RIGHT, Panel, button, column, control, row, status_html, status_text
from ._figure import LiveFigure
from ._run import Run

_SHARES = {0.05: "1/20", 0.1: "1/10", 0.2: "1/5", 0.25: "1/4", 0.5: "1/2", 0.75: "3/4", 1.0: "all"}
_WORDS = {0.05: "a twentieth", 0.1: "a tenth", 0.2: "a fifth", 0.25: "a quarter", 0.5: "half"}
_WORDS |= {0.75: "three quarters", 1.0: "all (lifted)"}
_BUDGETS = (6_000, 12_000, 24_000, 60_000, 120_000)
_WIDTHS = (8, 16, 32, 64)


class Comparison(Panel):
    """Start, and watch the errors of the learners fall against the forces they have bought.

    - `contest`: who competes for what; `fraction` moves the share of its last learner.
    - `folder`: where files are saved.
    - `figure`: a live figure to draw in; without it the panel has its own.

    The panel holds no state: that is in `run`. The learning rate takes effect at once; fraction,
    budget and width hold from the next Start after a Reset.
    """

    def __init__(
        self,
        contest: experiments.Contest,
        *,
        folder: str | os.PathLike = ".",
        figure: LiveFigure | None = None,
    ):
        self.run = Run(contest)
        self.folder = Path(folder)
        names = [learner.name for learner in contest.learners]
        self.live = LiveFigure((), names, contest.budgets) if figure is None else figure
        self._first, self._drawn = contest, 0
        self._settings(contest)
        self._buttons()
        self.progress = widgets.FloatProgress(
            min=0, max=1, description="progress", layout=widgets.Layout(width=LEFT)
        )
        self.progress_text = widgets.Label()
        self.status, self.headline, self.note = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.run.watch(self._refresh)
        self._refresh()
        self.knobs = self._arranged()
        own = [self.live.widget] if figure is None else []
        right = column(self.headline, *own, **RIGHT)
        self.widget = row(self.knobs, right, align_items="flex-start")

    # --- what the buttons do ------------------------------------------------------------------

    def start(self) -> None:
        """Start, or resume. Headless: run to the end."""
        self.run.start()

    def save_models(self) -> list[Path]:
        """Write the models as trained so far, a file for each learner."""
        return _files.save_models(self.run, self.folder)

    def export_figure(self) -> Path:
        """Write the figure as one HTML file that needs no network."""
        return _files.save_figure(self.figure(), self.folder / "macrokit-comparison.html")

    def export_data(self) -> Path:
        """Write the scores as CSV."""
        scores = [(score.learner, score) for score in self.run.scores]
        return _files.save_scores(scores, self.folder / "macrokit-comparison.csv")

    def figure(self) -> go.Figure:
        """A plain figure of what is shown now."""
        return self.live.static()

    # --- construction -------------------------------------------------------------------------

    def _settings(self, contest: experiments.Contest) -> None:
        last = contest.learners[-1]
        self.fraction = control(
            widgets.SelectionSlider,
            "fraction p",
            f"Share of the sites whose force '{last.name}' buys in each snapshot",
            options=_options(_SHARES, last.fraction, lambda p: _SHARES.get(p, f"{p:g}")),
            value=last.fraction,
        )
        self.budget = control(
            widgets.SelectionSlider,
            "budget",
            "Forces held by each learner after the last round",
            options=_options(_BUDGETS, contest.budgets[-1], "{:,}".format),
            value=contest.budgets[-1],
        )
        self.width = control(
            widgets.SelectionSlider,
            "width",
            "Hidden units of each network",
            options=_options(_WIDTHS, last.width, str),
            value=last.width,
        )
        self.rate = control(
            widgets.FloatLogSlider,
            "learning rate",
            "Peak of each round's schedule; takes effect at once",
            min=-4,
            max=-1.5,
            step=0.05,
            value=contest.learning_rate,
            readout_format=".1e",
        )
        for slider in (self.fraction, self.budget, self.width):
            slider.observe(lambda _: self._refresh(), names="value")
        self.rate.observe(self._rate_moved, names="value")

    def _buttons(self) -> None:
        self.start_button = button("Start", "Buy forces and learn from them", self.start)
        self.stop_button = button("Stop", "Stop; the models stay usable", self.run.stop)
        self.resume_button = button("Resume", "Go on where it stopped", self.start)
        self.reset_button = button("Reset", "Stop and forget what was learned", self.reset)
        self.files = row(
            self._writer("Save models", "Write the models as trained so far", self.save_models),
            self._writer("Save figure", "Write the figure as HTML", self.export_figure),
            self._writer("Save data", "Write the scores as CSV", self.export_data),
            grid_gap="0 6px",
        )

    def _writer(self, description: str, help: str, write: Callable[[], Any]) -> widgets.Button:
        return button(description, help, lambda: self._report(write))

    def _arranged(self) -> widgets.Widget:
        buttons = (self.start_button, self.stop_button, self.resume_button, self.reset_button)
        return column(
            *(self.fraction, self.budget, self.width, self.rate),
            *(
                self.note,
                row(*buttons, grid_gap="0 6px"),
                self.progress,
                self.progress_text,
                self.status,
                self.files,
            ),
            width=LEFT,
        )

    # --- events -------------------------------------------------------------------------------

    def reset(self) -> None:
        """Stop, wait, forget what was learned, and take the settings of the sliders."""
        self.run.reset()

    def _rate_moved(self, change: dict) -> None:
        self.run.learning_rate = change["new"]

    def _report(self, write: Callable[[], Any]) -> None:
        try:
            paths = write()
        except (ValueError, OSError) as error:
            self.status.value = status_text(str(error), "bad")
            return
        paths = paths if isinstance(paths, list) else [paths]
        names = ", ".join(str(path.resolve()) for path in paths)
        self.status.value = status_text(f"Saved {names}", "good")

    def _chosen(self) -> dict[str, Any]:
        """The contest's settings as the sliders stand."""
        first = self._first
        scale = self.budget.value / first.budgets[-1]
        learners = first.learners
        if self.width.value != learners[-1].width:
            learners = [dataclasses.replace(one, width=self.width.value) for one in learners]
        *others, last = learners
        if self.fraction.value != last.fraction:
            words = _WORDS.get(self.fraction.value, f"{self.fraction.value:g}")
            name = f"{words} of the forces"
            last = dataclasses.replace(last, fraction=self.fraction.value, name=name)
        budgets = tuple(round(budget * scale) for budget in first.budgets)
        return {"learners": (*others, last), "budgets": budgets}

    def _pending(self) -> list[str]:
        """Names of the sliders that differ from the contest under way."""
        chosen, contest = self._chosen(), self.run.contest
        last, running = chosen["learners"][-1], contest.learners[-1]
        differs = {
            "fraction p": last.fraction != running.fraction,
            "budget": chosen["budgets"] != contest.budgets,
            "width": last.width != running.width,
        }
        return [name for name, yes in differs.items() if yes]

    def _apply(self) -> str:
        """Take over what the sliders say; returns what speaks against it."""
        try:
            self.run.change(**self._chosen())
        except ValueError as error:
            return str(error)
        self.live.rename([learner.name for learner in self.run.contest.learners])
        self.live.show_budgets(self.run.contest.budgets)
        return ""

    # --- what is shown ------------------------------------------------------------------------

    def _refresh(self) -> None:
        run = self.run
        waiting, problem = self._pending(), ""
        if waiting and run.state == "ready":
            problem = self._apply()
        elif waiting:
            problem = f"Moved: {', '.join(waiting)}. It holds after Reset and Start."
        self.note.value = status_text(problem, "bad" if run.state == "ready" else "plain")
        self.start_button.disabled = run.state != "ready" or bool(problem)
        self.stop_button.disabled = run.state != "running"
        self.resume_button.disabled = run.state not in ("stopped", "failed")
        self.reset_button.disabled = run.state == "ready"
        self.progress.value = run.done
        self.progress_text.value = _sentences.progress(run)
        mood = {"failed": "bad", "finished": "good"}.get(run.state, "plain")
        self.status.value = status_text(_sentences.status(run), mood)
        if len(run.scores) != self._drawn:
            self._drawn = len(run.scores)
            self.live.show_scores(run.scores)
        self.headline.value = status_html(_sentences.headline(run))


def _options(values: Any, present: Any, text: Callable[[Any], str]) -> list[tuple[str, Any]]:
    return [(text(value), value) for value in sorted({*values, present})]
