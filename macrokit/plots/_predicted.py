"""What the gauge expected of trained models, and what came of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ._style import COLOURS, ERROR, GREY, from_best_to_worst, legend_beside, log_axis, style

_SYMBOLS = ("circle", "diamond", "square", "x")
EXPECTED = "expected: (δ + ν)/snapshots (1)"


def predicted_figure(runs: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The mean error of each run against what the gauge expected of it before it was trained.

    A colour for each estimator, a symbol for each closure, hollow where more than three times the
    smallest number of forces was bought; bars from the best to the worst seed.
    """
    figure = go.Figure()
    runs = [run for run in runs if run["error_mean"] is not None]
    symbols = dict(zip(dict.fromkeys(run["closure"] for run in runs), _SYMBOLS, strict=False))
    estimators = dict.fromkeys(run["estimator"] for run in runs)
    fewest, most = (f(run["forces_training"] for run in runs) for f in (min, max))
    colours = dict(zip(estimators, (GREY, *COLOURS), strict=False))
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for run in runs:
        many = run["forces_training"] > 3 * fewest  # some draw a site twice and pay once
        groups.setdefault((run["estimator"], run["closure"], many), []).append(run)
    for (estimator, closure, many), group in groups.items():
        figure.add_scatter(
            x=[run["predicted"] for run in group],
            y=[run["error_mean"] for run in group],
            error_y=_bars(group) | {"color": colours[estimator]},
            text=[f"{run['loss']}, {run['design']}, {closure} closure" for run in group],
            hovertemplate="%{text}<br>%{y:.2e}<extra></extra>",
            name=estimator,
            legendgroup=estimator,
            showlegend=False,
            mode="markers",
            marker={
                "color": colours[estimator],
                "symbol": symbols[closure] + "-open" * many,
                "size": 11,
                "line": {"width": 2},
            },
        )
    entries = [(e, {"color": c, "symbol": "circle"}) for e, c in colours.items()]
    if len(symbols) > 1:
        entries += [(f"{c} closure", {"color": GREY, "symbol": s}) for c, s in symbols.items()]
    if most > 3 * fewest:
        entries.append((f"{most:,} forces", {"color": GREY, "symbol": "circle-open"}))
    for name, marker in entries:
        figure.add_scatter(
            x=[None], y=[None], name=name, mode="markers", marker=marker | {"size": 11}
        )
    legend_beside(style(figure, height=460))
    figure.update_xaxes(type="log", title_text=EXPECTED, dtick=1, exponentformat="power")
    return figure.update_yaxes(log_axis(ERROR))


def sweep_figure(runs: Sequence[Mapping[str, Any]], sites: int) -> go.Figure:
    """The error at equal forces against the number of sites per snapshot, of `sites` in all: a
    panel for each closure, a colour for each design, a ring about the number that the gauge
    recommended, bars from the best to the worst seed."""
    closures = list(dict.fromkeys(run["closure"] for run in runs))
    designs = list(dict.fromkeys(run["design"] for run in runs))
    figure = make_subplots(
        cols=len(closures),
        shared_yaxes=True,
        horizontal_spacing=0.05,
        subplot_titles=[f"{closure} closure" for closure in closures],
    )
    for column, closure in enumerate(closures, start=1):
        for colour, design in zip(COLOURS, designs, strict=False):
            group = [run for run in runs if (run["closure"], run["design"]) == (closure, design)]
            group.sort(key=lambda run: run["fraction"])
            numbers = [round(sites * run["fraction"]) for run in group]
            best = int(np.argmin([run["predicted"] for run in group]))
            figure.add_scatter(
                x=numbers,
                y=[run["error_mean"] for run in group],
                error_y=_bars(group) | {"color": colour},
                name=design,
                legendgroup=design,
                showlegend=column == 1,
                mode="lines+markers",
                line={"color": colour, "width": 3},
                marker={"size": 9},
                row=1,
                col=column,
            )
            ring = {"size": 20, "symbol": "circle-open", "color": colour, "line": {"width": 3}}
            figure.add_scatter(
                x=[numbers[best]],
                y=[group[best]["error_mean"]],
                name="recommended by the gauge",
                legendgroup="ring",
                showlegend=column == 1 and design == designs[0],
                mode="markers",
                marker=ring,
                row=1,
                col=column,
            )
    style(figure, height=440)
    ticks = sorted({round(sites * run["fraction"]) for run in runs})
    figure.update_xaxes(type="log", tickvals=ticks, title_text="sites in a snapshot (number)")
    figure.update_yaxes(log_axis(ERROR))
    return figure.update_yaxes(title_text=None, col=2).update_layout(legend={"y": 1.1})


def _bars(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return from_best_to_worst([r["errors"] for r in runs], [r["error_mean"] for r in runs])
