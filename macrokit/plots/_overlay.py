"""Several runs over each other: errors against forces and against time, roll-outs with a band."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from .._types import AnyArray
from ._runs import error_traces, joined
from ._style import ERROR, FORCES, GREY, TIME, forces_axis, log_axis, log_range, style

SECONDS = "training time (s)"
# (row, column) of error against forces, of error against time, and of the roll-outs.
CELLS = ((1, 1), (1, 2), (2, 1))


@dataclasses.dataclass(frozen=True)
class Line:
    """One run of an overlay.

    - `name`, `colour`. - `forces`, `seconds`: at each of its scores. - `errors`: of the members.
    - `times`, `predicted`: its roll-outs from one start, or None.
    """

    name: str
    colour: str
    forces: Sequence[float] = ()
    seconds: Sequence[float] = ()
    errors: Sequence[Float[AnyArray, " members"]] = ()
    times: Float[AnyArray, " times"] | None = None
    predicted: Float[AnyArray, "members times k"] | None = None


def overlay_traces(
    lines: Sequence[Line],
    times: Float[AnyArray, " times"] | None = None,
    truth: Float[AnyArray, "times k"] | None = None,
) -> tuple[list[go.Scatter], list[go.Scatter], list[go.Scatter]]:
    """Error against forces, error against training time, and roll-outs over the truth."""
    by_forces, by_time, paths = [], [], []
    if truth is not None:
        x, y = joined(times, np.asarray(truth).T)
        grey = {"color": GREY, "width": 8}
        paths.append(go.Scatter(x=x, y=y, name="truth", line=grey, opacity=0.45, mode="lines"))
    for one in lines:
        by_forces += error_traces(one.name, one.colour, one.forces, one.errors)
        by_time += error_traces(one.name, one.colour, one.seconds, one.errors, legend=False)
        if one.predicted is not None:
            paths += _band(one)
    return by_forces, by_time, paths


def overlay_figure(
    lines: Sequence[Line],
    times: Float[AnyArray, " times"] | None = None,
    truth: Float[AnyArray, "times k"] | None = None,
    *,
    unit: str = "observable",
) -> go.Figure:
    """The three plots of `overlay_traces` in one figure.

    - `times`, `truth`: of the start that is shown. - `unit`: axis of the observables.
    """
    figure = make_subplots(
        rows=2,
        cols=2,
        specs=[[{}, {}], [{"colspan": 2}, None]],
        horizontal_spacing=0.12,
        vertical_spacing=0.2,
    )
    cells = zip(CELLS, overlay_traces(lines, times, truth), strict=True)
    for (row, column), traces in cells:
        figure.add_traces(traces, rows=row, cols=column)
    style(figure, height=520)
    return figure.update_layout(overlay_axes(lines, unit))


def overlay_axes(lines: Sequence[Line], unit: str) -> dict[str, Any]:
    """What the axes of an overlay are called, and how far they reach."""
    errors = [float(e) for one in lines for own in one.errors for e in own if np.isfinite(e)]
    error = log_axis(ERROR) | {"range": log_range(errors)}
    forces = {round(n) for one in lines for n in one.forces}
    # An axis without a range is not drawn as long as there is nothing on it.
    rolled_out = any(one.predicted is not None for one in lines)
    paths = {"autorange": True} if rolled_out else {"range": [0, 1]}
    return {
        "xaxis": forces_axis(_some(sorted(forces)), FORCES),
        "yaxis": error,
        "xaxis2": {"title_text": SECONDS, "rangemode": "tozero"},
        "yaxis2": error,
        "xaxis3": {"title_text": TIME} | paths,
        "yaxis3": {"title_text": unit} | paths,
    }


def _some(ticks: list[int]) -> list[int]:
    """The last of them, and of the others those that leave room for a label."""
    kept = ticks[-1:]
    for tick in reversed(ticks):
        if tick < 0.6 * kept[-1]:
            kept.append(tick)
    return kept


def _band(one: Line) -> list[go.Scatter]:
    """From the least to the greatest of the members, and their median."""
    predicted, times = np.asarray(one.predicted, float), np.asarray(one.times, float)
    known = ~np.isnan(predicted).all(axis=(0, 2))  # one member is still there
    predicted, times = predicted[:, known], times[known]
    if not len(times):
        return []
    outline, middle = [], []
    for observable in np.moveaxis(predicted, 2, 0):
        low, high = np.nanmin(observable, axis=0), np.nanmax(observable, axis=0)
        outline.append(np.concatenate([low, high[::-1]]))
        middle.append(np.nanmedian(observable, axis=0))
    group = {"name": one.name, "legendgroup": one.name, "showlegend": False}
    x, y = joined(np.concatenate([times, times[::-1]]), np.array(outline))
    fill = {"fill": "toself", "fillcolor": _pale(one.colour), "line": {"width": 0}}
    band = go.Scatter(x=x, y=y, mode="lines", hoverinfo="skip", **fill, **group)
    x, y = joined(times, np.array(middle))
    return [band, go.Scatter(x=x, y=y, mode="lines", line={"color": one.colour}, **group)]


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.25)"
