"""The dashboard's table: a row for each trial, to be shown, renamed, tried again and deleted."""

import html

import ipywidgets as widgets
import numpy as np

from .. import plots
from . import _sentences
from ._display import button, close, column, row
from ._session import Session
from ._trial import Trial

_WIDTHS = {
    "show": "44px",
    "name": "210px",
    "system": "105px",
    "forces": "90px",
    "error (least – greatest)": "210px",
    "time": "70px",
    "state": "150px",
}


class TrialTable:
    """Rows of a session. `refresh` writes only what is new, so that a name can be typed."""

    def __init__(self, session: Session):
        self._session = session
        self._rows: dict[int, _Row] = {}
        head = [_cell(f"<b>{name}</b>", width) for name, width in _WIDTHS.items()]
        self._head = row(*head, flex_flow="row nowrap", grid_gap="0 6px")
        self._empty = widgets.HTML("<i>No runs yet.</i>")
        self.widget = column(self._head, self._empty, width="100%", overflow="auto")

    def refresh(self) -> None:
        """Bring every row up to date."""
        trials = list(self._session.trials)
        gone = self._rows.keys() - {id(trial) for trial in trials}
        removed = [self._rows.pop(key) for key in gone]
        for trial in trials:
            if id(trial) not in self._rows:
                self._rows[id(trial)] = _Row(self._session, trial)
            self._rows[id(trial)].refresh()
        shown = [self._rows[id(trial)].widget for trial in trials]
        children = (self._head, *(shown or [self._empty]))
        if children != self.widget.children:
            self.widget.children = children
        for each in removed:
            close(each.widget)

    def row(self, trial: Trial) -> "_Row":
        """The controls of one trial."""
        return self._rows[id(trial)]


class _Row:
    """- `shown`, `name`, `again`, `delete`: its controls."""

    def __init__(self, session: Session, trial: Trial):
        self.trial = trial  # held, so that its identity stays its own
        self.shown = widgets.Checkbox(
            value=trial.shown,
            indent=False,
            tooltip="Draw this run, or do not",
            layout=widgets.Layout(width="18px"),
        )
        colour = plots.COLOURS[trial.number % len(plots.COLOURS)]
        dot = _cell(f'<span style="color:{colour};font-size:20px">●</span>', "20px")
        self.name = widgets.Text(
            value=trial.name,
            continuous_update=False,
            tooltip="Name of this run; type another one",
            layout=widgets.Layout(width=_WIDTHS["name"]),
        )
        self.shown.observe(lambda change: session.show(trial, change["new"]), names="value")
        self.name.observe(lambda change: session.rename(trial, change["new"]), names="value")
        self.cells = {name: _cell("", _WIDTHS[name]) for name in list(_WIDTHS)[2:]}
        self.again = button(
            "Again", "Let it go on from where it failed", lambda: session.retry(trial)
        )
        self.delete = button("Delete", "Forget this run", lambda: session.delete(trial))
        parts = (self.shown, dot, self.name, *self.cells.values(), self.again, self.delete)
        self.widget = row(*parts, flex_flow="row nowrap", grid_gap="0 6px")

    def refresh(self) -> None:
        trial = self.trial
        self.shown.value, self.name.value = trial.shown, trial.name
        last = trial.last
        texts = {
            "system": html.escape(trial.arena),
            "forces": f"{trial.forces:,}" if trial.forces else "–",
            "error (least – greatest)": "–" if last is None else _error(last.error),
            "time": "–" if last is None else f"{last.seconds:.0f} s",
            "state": html.escape(_state(trial)),
        }
        for name, text in texts.items():
            if self.cells[name].value != text:
                self.cells[name].value = text
        hidden = "none" if trial.state != "failed" else ""
        if self.again.layout.display != hidden:
            self.again.layout.display = hidden


def _state(trial: Trial) -> str:
    if trial.state == "running":
        return trial.phase or f"{100 * trial.done:.0f} %{_sentences.left(trial.seconds_left)}"
    if trial.state == "stopped":
        return f"stopped at {100 * trial.done:.0f} %"
    return trial.state


def _error(error: np.ndarray) -> str:
    lost = int((~np.isfinite(error)).sum())
    if lost:
        return f"{lost} of {len(error)} diverged"
    return f"<b>{error.mean():.2g}</b> ({error.min():.2g} – {error.max():.2g})"


def _cell(text: str, width: str) -> widgets.HTML:
    return widgets.HTML(text, layout=widgets.Layout(width=width))
