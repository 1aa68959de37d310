"""The dashboard's figure: the runs that are shown, over each other."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from .. import plots
from ._display import Plot

_HEIGHT = 430


class LiveOverlay:
    """`plots.overlay_figure`, live: new points move what is drawn, other runs draw it anew."""

    def __init__(self) -> None:
        self.widget = Plot(plots.overlay_figure(()))
        self.widget.update_layout(
            uirevision="kept",
            autosize=True,
            height=_HEIGHT,
            showlegend=False,  # the table has the colours
            font_size=12,
            margin={"t": 10, "b": 45, "l": 60, "r": 10},
        )

    def show(
        self,
        lines: Sequence[plots.Line],
        times: np.ndarray | None,
        truth: np.ndarray | None,
        unit: str,
    ) -> None:
        """These runs, over the truth (times, k)."""
        groups = plots.overlay_traces(lines, times, truth)
        traces = [trace for group in groups for trace in group]
        axes = [place for place, group in enumerate(groups) for _ in group]
        with self.widget.turn, self.widget.batch_update():
            if [self._kind(trace) for trace in self.widget.data] == [
                (trace.mode, trace.fill, _suffix(axis))
                for trace, axis in zip(traces, axes, strict=True)
            ]:
                for old, new in zip(self.widget.data, traces, strict=True):
                    old.update(new.to_plotly_json(), overwrite=False)
            else:
                self.widget.data = ()
                rows, columns = (
                    zip(*(plots.CELLS[a] for a in axes), strict=True) if axes else ((), ())
                )
                self.widget.add_traces(traces, rows=list(rows), cols=list(columns))
            self.widget.update_layout(plots.overlay_axes(lines, unit))

    def static(self) -> go.Figure:
        """A plain figure of what is shown now, with a legend."""
        with self.widget.turn:
            figure = go.Figure(self.widget)
        legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
        return figure.update_layout(showlegend=True, legend=legend, margin_t=60, height=560)

    @staticmethod
    def _kind(trace: go.Scatter) -> tuple[str, str | None, str]:
        return trace.mode, trace.fill, (trace.xaxis or "x")[1:]


def _suffix(place: int) -> str:
    return "" if place == 0 else str(place + 1)
