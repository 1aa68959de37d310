"""The paper's tables and figures, and what was found here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ._runs import error_traces, loss_name
from ._style import (
    COLOURS,
    ERROR,
    GREY,
    forces_axis,
    legend_beside,
    log_axis,
    log_range,
    style,
    thousands,
)

Table = Mapping[str, Mapping[int, tuple[float, float]]]


def losses_figure(tables: Mapping[str, Table]) -> go.Figure:
    """Mean errors against forces, one panel a table and one line a loss, all on one scale; of a
    loss that is in one table only, too.

    - `tables`: title → loss → {forces: (mean, s.d.)}.
    """
    figure = make_subplots(
        cols=len(tables), shared_yaxes=True, subplot_titles=list(tables), horizontal_spacing=0.03
    )
    losses = list(dict.fromkeys(loss for table in tables.values() for loss in table))
    colours = dict(zip(losses, (*COLOURS, GREY), strict=False))
    named: set[str] = set()
    for column, table in enumerate(tables.values(), start=1):
        for loss, unordered in table.items():
            entries = dict(sorted(unordered.items()))
            figure.add_scatter(
                x=list(entries),
                y=[mean for mean, _ in entries.values()],
                name=loss_name(loss),
                legendgroup=loss,
                showlegend=loss not in named,
                mode="lines+markers",
                line={"color": colours[loss], "width": 3},
                marker={"size": 9},
                row=1,
                col=column,
            )
            named.add(loss)
    legend_beside(style(figure, height=460)).update_layout(margin={"t": 40})
    axis = forces_axis(
        [forces for table in tables.values() for entries in table.values() for forces in entries]
    )
    ticks = zip(axis["tickvals"], axis["ticktext"], strict=True)
    labels = {"ticktext": [text if forces in _LABELLED else "" for forces, text in ticks]}
    # Without a range: plotly draws no line where axes that match have one.
    figure.update_xaxes(axis | labels | {"range": None})
    # One title for all: there is no room for more.
    middle = (len(tables) + 1) // 2
    figure.update_xaxes(title_text="", matches=f"x{middle}" if middle > 1 else "x")
    figure.update_xaxes({"title_text": axis["title_text"], "matches": None}, col=middle)
    return _one_error_axis(figure)


# Budgets that have a label where there is no room for all of them.
_LABELLED = (6_000, 60_000, 300_000, 2_400_000)


def savings_figure(systems: Mapping[str, tuple[Sequence[Any], Sequence[Any]]]) -> go.Figure:
    """Errors against forces, a panel a system, all sites and some of them; dots are networks, the
    line is their mean where none diverged. How far apart the lines are along a level is what
    partial forces save.

    - `systems`: title → (runs with all forces, runs with partial ones), from few forces to many.
    """
    titles = [title.replace(", ", "<br>") for title in systems]
    figure = make_subplots(
        cols=len(systems), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03
    )
    for column, both in enumerate(systems.values(), start=1):
        for name, colour, unordered in zip(("all sites", "some"), COLOURS, both, strict=False):
            runs = sorted(unordered, key=lambda run: run["forces_training"])
            forces = [run["forces_training"] for run in runs]
            errors = [np.array(run["errors"], float) for run in runs]  # of a diverged one NaN
            traces = error_traces(name, colour, forces, errors, legend=column == 1)
            figure.add_traces(traces, rows=1, cols=column)
        paid = [run["forces_training"] for runs in both for run in runs]
        multiples = (1,) if max(paid) > 100 * min(paid) else (1, 3)
        ticks = [n * 10**e for e in range(2, 10) for n in multiples]
        labels = {"tickvals": ticks, "ticktext": [thousands(n) for n in ticks]}
        # The usual title is too long for a panel.
        figure.update_xaxes({"type": "log", "title_text": "forces (distinct)"} | labels, col=column)
    style(figure, height=420).update_layout(margin={"t": 80}, legend={"y": 1.25})
    return _one_error_axis(figure)


def agreement_figure(cells: Sequence[Mapping[str, Any]]) -> go.Figure:
    """What was found over what was published, at each budget and for each loss; the bar is twice
    the larger standard deviation. At or below the line 1 is as good as published or better.

    - `cells`: as `experiments.agreement` says them.
    """
    figure = go.Figure()
    losses = list(dict.fromkeys(cell["loss"] for cell in cells))
    for number, (colour, loss) in enumerate(zip(COLOURS, losses, strict=False)):
        mine = [cell for cell in cells if cell["loss"] == loss]
        # Side by side, not over each other.
        x = [cell["forces"] * 1.06 ** (number - (len(losses) - 1) / 2) for cell in mine]
        figure.add_scatter(
            x=x,
            y=[cell["found"] / cell["published"] for cell in mine],
            error_y={"array": [cell["allowed"] / cell["published"] for cell in mine]},
            name=loss_name(loss),
            mode="markers",
            marker={
                "color": colour,
                "size": 10,
                "symbol": ["circle" if cell["no_worse"] else "x" for cell in mine],
            },
        )
    figure.add_hline(1, line={"color": GREY, "dash": "dot"})
    legend_beside(style(figure, height=420))
    figure.update_xaxes(forces_axis([cell["forces"] for cell in cells]))
    return figure.update_yaxes(log_axis("found / published (1)", (1, 2, 5)))


def beside_figure(rows: Mapping[str, Mapping[str, tuple[float, float] | None]]) -> go.Figure:
    """Mean errors of the same thing found in different ways, a row each, on one logarithmic axis;
    bars are standard deviations.

    - `rows`: what it is → how it was found → (mean, s.d.), or None where there is nothing.
    """
    figure = go.Figure()
    ways = list(dict.fromkeys(way for row in rows.values() for way in row))
    means = []
    for number, (colour, way) in enumerate(zip((GREY, *COLOURS), ways, strict=False)):
        mine = {name: row[way] for name, row in rows.items() if row.get(way) is not None}
        means += [max(mean + sign * s, mean / 3) for mean, s in mine.values() for sign in (-1, 1)]
        figure.add_scatter(
            x=[mean for mean, _ in mine.values()],
            # A little below each other, so that no bar hides another.
            y=[list(rows).index(name) + 0.14 * (number - (len(ways) - 1) / 2) for name in mine],
            error_x={"array": [spread for _, spread in mine.values()], "thickness": 2},
            name=way,
            mode="markers",
            marker={"color": colour, "size": 12, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
        )
    style(figure, height=130 + 50 * len(rows)).update_layout(margin={"l": 230})
    figure.update_xaxes(log_axis("test " + ERROR) | {"range": log_range(means)})
    return figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=list(rows), range=[len(rows) - 0.5, -0.5]
    )


_SYMBOLS = ("diamond", "circle", "square", "triangle-up", "x")


def curves_figure(runs: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Errors while networks are trained: median of the seeds, and all of them as a band.

    - `runs`: of a record, with curves; one panel for each number of forces.
    """
    budgets = sorted({run["forces_training"] for run in runs})
    titles = [f"{forces:,} forces" for forces in budgets]
    figure = make_subplots(cols=len(budgets), shared_yaxes=True, subplot_titles=titles)
    losses = list(dict.fromkeys(run["loss"] for run in runs))
    for run in runs:
        column = 1 + budgets.index(run["forces_training"])
        colour = COLOURS[losses.index(run["loss"])]
        steps = [point["step"] for point in run["curve"]]
        errors = np.array([point["errors"] for point in run["curve"]], float)
        for bound, fill in ((np.nanmin, None), (np.nanmax, "tonexty")):
            figure.add_scatter(
                x=steps,
                y=bound(errors, axis=1),
                mode="lines",
                line={"width": 0},
                fill=fill,
                fillcolor=_faint(colour),
                showlegend=False,
                hoverinfo="skip",
                row=1,
                col=column,
            )
        figure.add_scatter(
            x=steps,
            y=np.nanmedian(errors, axis=1),
            name=loss_name(run["loss"]),
            showlegend=column == 1,
            mode="lines",
            line={"color": colour, "width": 3},
            row=1,
            col=column,
        )
    style(figure, height=420).update_layout(legend={"y": 1.1}, margin={"t": 80})
    figure.update_xaxes(title_text="optimiser step (number)")
    return _one_error_axis(figure)


def conditions_figure(runs: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The error, and the lift defect η, against the weight on the condition number; a dot for each
    closure, the lines through their means.

    - `runs`: of a record, with closures called "condition-…".
    """
    figure = make_subplots(cols=2, horizontal_spacing=0.14)
    weights = list(dict.fromkeys(run["closure"].removeprefix("condition-") for run in runs))
    axes = (
        ("error_mean", "test " + ERROR, COLOURS[0]),
        ("lift_defect", "lift defect η (1)", COLOURS[1]),
    )
    for column, (what, title, colour) in enumerate(axes, start=1):
        bounds = {"range": log_range([run[what] for run in runs])}
        figure.update_yaxes(log_axis(title) | bounds, col=column)
        own = [
            [run[what] for run in runs if run["closure"] == f"condition-{weight}"]
            for weight in weights
        ]
        figure.add_scatter(
            x=[weight for weight, values in zip(weights, own, strict=True) for _ in values],
            y=[value for values in own for value in values],
            mode="markers",
            marker={"color": colour, "size": 10, "opacity": 0.6},
            row=1,
            col=column,
        )
        figure.add_scatter(
            x=weights,
            y=[np.mean(values) for values in own],
            mode="lines",
            line={"color": colour, "width": 3},
            row=1,
            col=column,
        )
    style(figure, height=400).update_layout(showlegend=False)
    return figure.update_xaxes(title_text="weight λ on the condition number (1)", type="category")


def seconds_figure(seconds: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """What took how long, a bar for each experiment.

    - `seconds`: name → part → seconds; what is "not taken apart" is grey.
    """
    figure = go.Figure()
    parts = list(dict.fromkeys(part for own in seconds.values() for part in own))
    for colour, part in zip(COLOURS, parts, strict=False):
        figure.add_bar(
            y=list(seconds),
            x=[own.get(part, 0.0) / 60 for own in seconds.values()],
            name=part,
            orientation="h",
            marker={"color": GREY if part == "not taken apart" else colour},
        )
    style(figure, height=120 + 45 * len(seconds)).update_layout(
        barmode="stack", margin={"l": 220}, yaxis={"autorange": "reversed"}
    )
    return figure.update_xaxes(title_text="time (min)")


def _one_error_axis(figure: go.Figure) -> go.Figure:
    """Errors upwards in all panels, and named once."""
    return figure.update_yaxes(log_axis("")).update_yaxes(title_text="test " + ERROR, col=1)


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"
