"""The dashboard: any system, estimator, design, macro model and budget; runs side by side."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

from .. import designs, experiments, plots
from . import _files
from ._display import LEFT, RIGHT, Panel, button, column, control, row, status_text
from ._overlay import LiveOverlay
from ._scenes import SCENES
from ._sentences import left
from ._session import Arena, Session
from ._session_file import save_session, unpack
from ._table import TrialTable

_ESTIMATORS = {
    "difference (some sites)": "difference",
    "lifted (some sites, the paper's)": "lifted",
    "direct (some sites)": "direct",
    "exact (all sites)": "exact",
}
_MODELS = {
    "OnsagerNet": "onsagernet",
    "OnsagerNet, shared layers": "shared-onsagernet",
    "GFINN": "gfinn",
    "MLP": "mlp",
}
_FRACTIONS = {1 / n: f"1/{n}" for n in (50, 25, 20, 16, 10, 5, 4, 2)} | {1.0: "all"}
_WIDTHS = (16, 32, 64)


class Dashboard(Panel):
    """Train runs of any kind, one after the other; they stay in a table and overlay in the plots.

    - `arenas`: name → contest, or what makes one when it is first needed; by default
      `experiments.ARENAS`, one for each system of the paper.
    - `folder`: where files are saved.

    The panel holds no state: that is in `session`, whose `trials` are the rows of the table. What
    the controls say holds for the next run.
    """

    def __init__(
        self, arenas: Mapping[str, Arena] | None = None, *, folder: str | os.PathLike = "."
    ):
        self.session = Session(experiments.ARENAS if arenas is None else arenas)
        self.folder = Path(folder)
        self.live, self.table = LiveOverlay(), TrialTable(self.session)
        self._turn = threading.RLock()  # buttons, the worker, and who simulates all come here
        self._drawn: Any = None
        self._fitted: str | None = None  # the arena whose budgets and shares are offered
        self._controls()
        self._buttons()
        self.session.watch(self._refresh)
        self._choose()
        files = row(*self.savers, self.opener, grid_gap="0 6px")
        self.knobs = column(
            *(self.system, self.estimator, self.fraction, self.design, self.model),
            *(self.budget, self.width, self.rate, self.note),
            row(self.train_button, self.pair_button, grid_gap="0 6px"),
            row(self.stop_button, self.resume_button, grid_gap="0 6px"),
            *(self.progress, self.status),
            width=LEFT,
        )
        right = column(self.live.widget, self.start, **RIGHT)
        upper = row(self.knobs, right, align_items="flex-start")
        self.widget = column(upper, self.table.widget, files, self.saved)

    # --- what the buttons do ------------------------------------------------------------------

    def train(self) -> None:
        """Add a run as the controls say, and train it when its turn comes. One that is there
        already is not added again: it would come out the same."""
        self._ready()
        self._add(self._learner())

    def train_pair(self) -> None:
        """Add the arena's own learners, full and partial forces, with the budget chosen."""
        for learner in self._ready().learners:
            self._add(learner)

    def save_data(self) -> Path:
        """Write the scores of all runs as CSV."""
        path = self.folder / "macrokit-runs.csv"
        return _files.save_scores(
            [(t.name, s) for t in self.session.trials for s in t.scores], path
        )

    def save_arrays(self) -> Path:
        """Write scores and roll-outs of all runs as NPZ."""
        return _files.save_trials(self.session.trials, self.folder / "macrokit-runs.npz")

    def save_figure(self) -> Path:
        """Write the figure as one HTML file that needs no network."""
        return _files.save_figure(self.figure(), self.folder / "macrokit-runs.html")

    def save_session(self) -> Path:
        """Write everything as one file, to be opened here, later or elsewhere."""
        return save_session(self.folder / "macrokit-session.zip", self.session.trials)

    def open_session(self, source: str | os.PathLike | bytes) -> None:
        """Put the runs of a saved session below those that are here.

        - `source`: the file, or what is in it.
        """
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        self.session.adopt(unpack(content))

    def figure(self) -> go.Figure:
        """A plain figure of what is shown now, for a cell of its own."""
        return self.live.static()

    def start_training(self) -> None:
        """Go on with what is unfinished; headless to the end, and it raises what goes wrong."""
        self.session.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until all runs have ended; re-raises what one of them raised."""
        return self.session.wait(timeout)

    # --- construction -------------------------------------------------------------------------

    def _controls(self) -> None:
        names = list(self.session.arenas)
        self.system = _menu("system", "What is simulated", names)
        self.estimator = _menu("estimator", "How forces become what is learned from", _ESTIMATORS)
        self.design = _menu("design", "How the sites are drawn", sorted(designs.TABLE))
        self.model = _menu("macro model", "What learns dz/dt = g(z)", _MODELS)
        self.fraction = control(
            widgets.SelectionSlider,
            "sites",
            "Share of the sites whose force is bought in each snapshot",
            options=[("all", 1.0)],
        )
        self.budget = control(
            widgets.SelectionSlider,
            "forces",
            "Forces held after the last round",
            options=[("0", 0)],
        )
        self.width = control(
            widgets.SelectionSlider,
            "width",
            "Hidden units of the network",
            options=[(str(width), width) for width in _WIDTHS],
        )
        self.rate = control(
            widgets.FloatLogSlider,
            "learning rate",
            "Peak of each round's schedule",
            min=-4,
            max=-1.5,
            step=0.05,
            value=2e-3,
            readout_format=".1e",
        )
        self.start = control(
            widgets.IntSlider,
            "start",
            "From which held-out start the roll-outs are drawn",
            min=1,
            max=1,
        )
        self.note, self.status, self.saved = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.progress = widgets.FloatProgress(
            min=0, max=1, description="progress", layout=widgets.Layout(width=LEFT)
        )
        self.system.observe(lambda _: self._choose(), names="value")
        for part in (self.estimator, self.fraction, self.design, self.model, self.budget):
            part.observe(lambda _: self._refresh(), names="value")
        self.start.observe(lambda _: self._refresh(), names="value")

    def _buttons(self) -> None:
        session = self.session
        self.train_button = button(
            "Train", "Add a run with these settings", lambda: self._attempt(self.train, self.note)
        )
        self.pair_button = button(
            "Full against partial",
            "Add two runs: all forces, and some of them",
            lambda: self._attempt(self.train_pair, self.note),
        )
        self.stop_button = button("Stop", "Hold; networks stay usable", session.stop)
        self.resume_button = button("Resume", "Go on with what is unfinished", session.start)
        self.savers = [
            self._saver("Save data", "Scores of all runs as CSV", self.save_data),
            self._saver("Save arrays", "Scores and roll-outs as NPZ", self.save_arrays),
            self._saver("Save figure", "The figure as HTML", self.save_figure),
            self._saver("Save session", "Everything, to be opened again", self.save_session),
        ]
        self.opener = widgets.FileUpload(
            accept=".zip",
            description="Open session",
            tooltip="A file that 'Save session' has written, from this machine or another",
            layout=widgets.Layout(width="auto"),
        )
        self.opener.observe(self._uploaded, names="value")

    def _saver(self, description: str, help: str, write: Callable[[], Path]) -> widgets.Button:
        def press() -> None:
            self.saved.value = _files.link(write())

        return button(description, help, lambda: self._attempt(press, self.saved))

    # --- events -------------------------------------------------------------------------------

    def _uploaded(self, change: dict) -> None:
        for file in change["new"]:
            self._attempt(lambda file=file: self._opened(file), self.saved)
        if change["new"]:
            self.opener.value = ()  # so that the same file can be opened again

    def _opened(self, file: Mapping[str, Any]) -> None:
        self.open_session(bytes(file["content"]))
        self.saved.value = status_text(f"Opened {file['name']}.", "good")

    def _choose(self) -> None:
        """Another system: make its data if need be, and offer what it has to offer."""
        self.session.prepare(self.system.value)
        self._refresh()

    def _ready(self) -> experiments.Contest:
        """The contest of the system chosen, and the controls as it needs them. The buttons are grey
        until it is made; called from code this waits, and raises what goes wrong."""
        contest = self.session.arena(self.system.value)
        self._refresh()
        return contest

    def _fit(self, contest: experiments.Contest) -> None:
        """The controls, as the arena's second learner has them."""
        learner, sites = contest.learners[-1], contest.system.num_sites
        fractions = {p: t for p, t in _FRACTIONS.items() if p * sites >= 1}
        fractions |= {learner.fraction: _FRACTIONS.get(learner.fraction, f"{learner.fraction:g}")}
        self.fraction.options = [(fractions[p], p) for p in sorted(fractions)]
        self.budget.options = [(f"{budget:,}", budget) for budget in contest.budgets]
        self.width.options = [(str(w), w) for w in sorted({*_WIDTHS, learner.width})]
        self.fraction.value, self.budget.value = learner.fraction, contest.budgets[-1]
        self.estimator.value, self.design.value = learner.estimator, learner.design
        self.model.value, self.width.value = learner.model, learner.width
        self.rate.value = contest.learning_rate

    def _learner(self) -> experiments.Learner:
        """What the controls say; the rest is as the arena's learners have it."""
        contest = self.session.made(self.system.value)
        exact = self.estimator.value == "exact"
        fraction = 1.0 if exact else self.fraction.value
        share = "all" if exact else _FRACTIONS.get(fraction, f"{fraction:g}")
        model = next(text for text, value in _MODELS.items() if value == self.model.value)
        common = contest.learners[-1]
        return experiments.Learner(
            f"{self.estimator.value}, {share}, {model}",
            self.estimator.value,
            fraction,
            "without-replacement" if exact else self.design.value,
            self.model.value,
            common.scaling,
            self.width.value,
            common.leading,
        )

    def _budgets(self) -> tuple[int, ...]:
        """The rounds up to the budget chosen."""
        contest = self.session.made(self.system.value)
        return tuple(budget for budget in contest.budgets if budget <= self.budget.value)

    def _add(self, learner: experiments.Learner) -> None:
        settings = {"budgets": self._budgets(), "learning_rate": self.rate.value}
        twin = self.session.find(self.system.value, learner, **settings)
        if twin is not None:
            self.note.value = status_text(f"This run is in the table already: {twin.name}.")
            return
        self.session.add(self.system.value, learner, **settings)
        self.session.start()

    def _attempt(self, act: Callable[[], Any], told: widgets.HTML) -> None:
        """What goes wrong in a click is told beside it; elsewhere nobody would see it."""
        try:
            act()
        except Exception as error:
            kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
            told.value = status_text(f"{kind}{error}", "bad")

    # --- what is shown ------------------------------------------------------------------------

    def _fits(self) -> bool:
        """Whether a run can be trained as the controls say; if not, the note says why."""
        contest, name = self.session.made(self.system.value), self.system.value
        problem = self.session.problems.get(name)
        if problem is not None:
            self.note.value = status_text(f"{name} could not be made: {problem}", "bad")
        elif contest is None:
            self.note.value = status_text(f"Simulating the trajectories of {name} …")
        else:
            self.note.value = ""
        return contest is not None

    def _refresh(self) -> None:
        with self._turn:
            self._show()

    def _show(self) -> None:
        session, contest = self.session, self.session.made(self.system.value)
        if contest is not None and self._fitted != self.system.value:
            self._fitted = self.system.value
            self._fit(contest)
        exact = self.estimator.value == "exact"
        self.fraction.disabled = self.design.disabled = exact
        ready = self._fits()
        self.train_button.disabled = self.pair_button.disabled = not ready
        self.stop_button.disabled = not session.running
        self.resume_button.disabled = session.running or not session.unfinished
        current = session.current
        self.progress.value = 0.0 if current is None else current.done
        self.status.value = self._sentence()
        self.table.refresh()
        self._draw(contest)

    def _sentence(self) -> str:
        session, current = self.session, self.session.current
        waiting = sum(trial.state == "waiting" for trial in session.trials)
        behind = f" {waiting} waiting." if waiting else ""
        failed = [trial for trial in session.trials if trial.state == "failed"]
        if session.stopping:
            return status_text("Stopping after the present steps …")
        if current is not None:
            doing = current.phase or f"{100 * current.done:.0f} %{left(current.seconds_left)}"
            return status_text(f"{current.name}: {doing}.{behind}")
        if failed:
            return status_text(f"{failed[-1].name} failed: {failed[-1].error}", "bad")
        if session.unfinished:
            return status_text(f"Stopped. {len(session.unfinished)} unfinished; press Resume.")
        if session.trials:
            return status_text("All runs are finished.", "good")
        return status_text("Press 'Full against partial', or choose and press Train.")

    def _draw(self, contest: experiments.Contest | None) -> None:
        """The runs of the system chosen."""
        mine = [t for t in self.session.trials if t.arena == self.system.value and t.shown]
        told = [t.forecast for t in mine if t.forecast is not None]
        if told:
            self.start.max = len(told[-1].truth)
        self.start.layout.visibility = "visible" if told else "hidden"
        key = (
            self.system.value,
            self.start.value,
            [(id(t), t.name, len(t.scores), id(t.forecast)) for t in mine],
        )
        if key == self._drawn:
            return
        self._drawn = key
        number = min(self.start.value, self.start.max) - 1
        times, truth = (told[-1].times, told[-1].truth[number]) if told else (None, None)
        how = None if contest is None else SCENES.get(type(contest.system))
        unit = "observable" if how is None else how.unit
        self.live.show([_line(trial, number) for trial in mine], times, truth, unit)


def _line(trial: Any, number: int) -> plots.Line:
    scores, forecast = trial.scores, trial.forecast
    return plots.Line(
        trial.name,
        plots.COLOURS[trial.number % len(plots.COLOURS)],
        [score.forces for score in scores],
        [score.seconds for score in scores],
        [score.error for score in scores],
        None if forecast is None else forecast.times,
        None if forecast is None else forecast.predicted[:, number],
    )


def _menu(description: str, help: str, options: Any) -> widgets.Dropdown:
    return control(widgets.Dropdown, description, help, options=options)
