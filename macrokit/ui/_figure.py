"""The one live figure of a notebook, shared by the panels: a FigureWidget costs 5 MB each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .. import plots
from ._display import Plot

_HEIGHT = 400
_SPACE = 0.16
_TITLES = ("this start", "unseen starts", "held-out states")
_FORCES = "forces bought (sites)"


class LiveFigure:
    """Observables over time, and scores over forces bought; either may be left out.

    - `observables`: names of the observables, () for no such subplot.
    - `learners`: names of the learners, () for no such subplots. - `budgets`: of the rounds.
    - `unit`, `limits`: title and range of the axis of the observables; None for what fits.

    Its traces are set up once, and only their data change.
    """

    def __init__(
        self,
        observables: Sequence[str] = (),
        learners: Sequence[str] = (),
        budgets: Sequence[int] = (),
        *,
        unit: str = "density (1)",
        limits: tuple[float, float] | None = (0.0, 1.0),
    ):
        self._unit, self._limits = unit, limits
        self.observables, self.learners = tuple(observables), tuple(learners)
        self._paths: list[go.Scatter] = []
        self._scores: list[go.Scatter] = []
        self.widget = Plot(_grid(bool(observables), bool(learners)))
        plots.style(self.widget, height=_HEIGHT)
        self.widget.update_layout(
            uirevision="kept", autosize=True, margin={"t": 30, "b": 50, "l": 60, "r": 10}
        )
        # The lines of text above it have the colours; a legend would hide points.
        self.widget.update_layout(showlegend=False, font_size=12).update_annotations(font_size=13)
        if observables:
            self._add_observables()
        if learners:
            self._add_scores()
            self.show_budgets(budgets)

    def _add_observables(self) -> None:
        nothing = np.full((2, len(self.observables)), np.nan)
        predictions = dict.fromkeys(self.learners, nothing)
        traces = plots.observable_traces(np.zeros(2), nothing, self.observables, predictions)
        self._paths = [self._add(trace, (1, 1)) for trace in traces]
        self.widget.update_xaxes(title_text=plots.TIME, row=1, col=1)
        self.widget.update_yaxes(title_text=self._unit, range=self._limits, row=1, col=1)

    def _add_scores(self) -> None:
        self._error = (1, 2) if self.observables else (1, 1)
        self._field = (2, 1) if self.observables else (1, 2)
        titles = (plots.ERROR, plots.FIELD_ERROR)
        traces = plots.score_traces((), self.learners)
        for cell, title, some in zip((self._error, self._field), titles, traces, strict=True):
            self._scores += [self._add(trace, cell) for trace in some]
            small = self.observables and cell == self._field
            axis = plots.log_axis(title, (1,) if small else (1, 3))
            self.widget.update_yaxes(axis, row=cell[0], col=cell[1])
            self.widget.update_yaxes(range=_range(some), row=cell[0], col=cell[1])

    def _add(self, trace: go.Scatter, cell: tuple[int, int]) -> go.Scatter:
        self.widget.add_trace(trace, row=cell[0], col=cell[1])
        return self.widget.data[-1]

    def show_observables(
        self,
        times: np.ndarray,
        truth: np.ndarray,
        predictions: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """The truth (times, k), and predictions {learner: (members, times, k)}."""
        nothing = np.full_like(truth, np.nan)
        given = {name: (predictions or {}).get(name, nothing) for name in self.learners}
        traces = plots.observable_traces(times, truth, self.observables, given)
        with self.widget.turn, self.widget.batch_update():
            self._assign(self._paths, traces)

    def show_scores(self, scores: Sequence[Any]) -> None:
        """The scores of the rounds finished so far."""
        left, right = plots.score_traces(scores, self.learners)
        with self.widget.turn, self.widget.batch_update():
            self._assign(self._scores, left + right)
            for (row, col), traces in ((self._error, left), (self._field, right)):
                self.widget.update_yaxes(range=_range(traces), row=row, col=col)

    def show_budgets(self, budgets: Sequence[int]) -> None:
        """Label the axes of forces at these budgets."""
        with self.widget.turn, self.widget.batch_update():
            for row, col in (self._error, self._field):
                self.widget.update_xaxes(plots.forces_axis(budgets, _FORCES), row=row, col=col)

    def rename(self, learners: Sequence[str]) -> None:
        """Other names for the same learners."""
        names = dict(zip(self.learners, learners, strict=True))
        with self.widget.turn, self.widget.batch_update():
            for trace in self._paths + self._scores:
                if trace.name in names:
                    trace.update(name=names[trace.name], legendgroup=names[trace.name])
        self.learners = tuple(learners)

    def static(self) -> go.Figure:
        """A plain figure of what is shown now."""
        with self.widget.turn:
            figure = go.Figure(self.widget)
        named = set()
        for trace in figure.data:
            if trace.name in named:
                trace.showlegend = False
            elif trace.showlegend is not False:
                named.add(trace.name)
        legend = {"orientation": "h", "x": 0, "y": 1.08, "yanchor": "bottom"}
        return figure.update_layout(showlegend=True, legend=legend, margin_t=70)

    def _assign(self, shown: Sequence[go.Scatter], new: Sequence[go.Scatter]) -> None:
        for old, trace in zip(shown, new, strict=True):
            old.update(x=trace.x, y=trace.y)
            if trace.mode == "text":
                old.textposition = trace.textposition


def _range(traces: Sequence[go.Scatter]) -> list[float]:
    return plots.log_range([y for trace in traces for y in trace.y if y is not None])


def _grid(observables: bool, learners: bool) -> go.Figure:
    """Observables and, below them, |y − g|²/Var(y); the error against forces is the tall one."""
    if not learners:
        return make_subplots()
    if not observables:
        return make_subplots(cols=2, subplot_titles=_TITLES[1:], horizontal_spacing=_SPACE)
    return make_subplots(
        rows=2,
        cols=2,
        specs=[[{}, {"rowspan": 2}], [{}, None]],
        subplot_titles=_TITLES,
        horizontal_spacing=_SPACE,
        vertical_spacing=0.28,
    )
