"""The one live figure of a notebook, shared by the panels: a FigureWidget costs 5 MB each."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .. import plots


class LiveFigure:
    """Observables over time, and scores over forces bought; either may be left out.

    - `observables`: names of the observables, () for no such subplot.
    - `learners`: names of the learners, () for no such subplots. - `budgets`: of the rounds.

    Its traces are set up once, and only their data change.
    """

    def __init__(
        self,
        observables: Sequence[str] = (),
        learners: Sequence[str] = (),
        budgets: Sequence[int] = (),
    ):
        self.observables, self.learners = tuple(observables), tuple(learners)
        self._lock = threading.RLock()
        self._paths: list[go.Scatter] = []
        self._scores: list[go.Scatter] = []
        columns = bool(observables) + 2 * bool(learners)
        widths = [1.35] * bool(observables) + [1, 1] * bool(learners)
        grid = make_subplots(cols=columns, column_widths=widths, horizontal_spacing=0.085)
        self.widget = go.FigureWidget(grid)
        plots.style(self.widget, height=360)
        self.widget.update_layout(uirevision="kept", margin={"t": 55, "b": 55})
        if observables:
            self._add_observables()
        if learners:
            self._add_scores(budgets, 1 + bool(observables))

    def _add_observables(self) -> None:
        nothing = np.full((2, len(self.observables)), np.nan)
        predictions = dict.fromkeys(self.learners, nothing)
        traces = plots.observable_traces(np.zeros(2), nothing, self.observables, predictions)
        self._paths = [self._add(trace, 1) for trace in traces]
        self.widget.update_xaxes(title_text=plots.TIME, col=1)
        self.widget.update_yaxes(title_text="density (1)", range=[0, 1], col=1)

    def _add_scores(self, budgets: Sequence[int], column: int) -> None:
        left, right = plots.score_traces((), self.learners)
        for traces, col in ((left, column), (right, column + 1)):
            self._scores += [self._add(trace, col) for trace in traces]
            self.widget.update_xaxes(plots.forces_axis(budgets), col=col)
        if self.observables:  # the lines over time carry the legend
            self.widget.update_traces(showlegend=False, col=column)
        self.widget.update_yaxes(plots.log_axis(plots.ERROR), col=column)
        self.widget.update_yaxes(plots.log_axis(plots.FIELD_ERROR), col=column + 1)

    def _add(self, trace: go.Scatter, column: int) -> go.Scatter:
        self.widget.add_trace(trace, row=1, col=column)
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
        self._assign(self._paths, plots.observable_traces(times, truth, self.observables, given))

    def show_scores(self, scores: Sequence[Any]) -> None:
        """The scores of the rounds finished so far."""
        left, right = plots.score_traces(scores, self.learners)
        self._assign(self._scores, left + right)

    def show_budgets(self, budgets: Sequence[int]) -> None:
        """Label the axes of forces at these budgets."""
        column = 1 + bool(self.observables)
        with self._lock, self.widget.batch_update():
            for col in (column, column + 1):
                self.widget.update_xaxes(plots.forces_axis(budgets), col=col)

    def rename(self, learners: Sequence[str]) -> None:
        """Other names for the same learners."""
        width = len(self._paths) - len(self.learners)
        with self._lock, self.widget.batch_update():
            for number, name in enumerate(learners):
                for trace in [
                    *self._paths[width + number : width + number + 1],
                    *(t for t in self._scores if t.name == self.learners[number]),
                ]:
                    trace.update(name=name, legendgroup=name)
        self.learners = tuple(learners)

    def static(self) -> go.Figure:
        """A plain figure of what is shown now."""
        with self._lock:
            return go.Figure(self.widget.to_dict())

    def _assign(self, shown: Sequence[go.Scatter], new: Sequence[go.Scatter]) -> None:
        # Two threads draw here: the one of the sliders and the worker's.
        with self._lock, self.widget.batch_update():
            for old, trace in zip(shown, new, strict=True):
                old.update(x=trace.x, y=trace.y)
