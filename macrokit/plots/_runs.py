"""Runs and scores: fields, observables, errors against forces."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int
from plotly.subplots import make_subplots

from .._types import AnyArray
from ._style import (
    COLOURS,
    ERROR,
    FIELD_ERROR,
    GREY,
    TIME,
    forces_axis,
    log_axis,
    log_range,
    style,
    thousands,
)

_LOSSES = {
    "L_z": "all forces",
    "L_x": "all forces, lifted",
    "L_{x,1/5}": "a fifth of the forces",
    "L_{x,1/25}": "a 25th of the forces",
}


def field_figure(
    times: Float[AnyArray, " times"],
    u: Float[AnyArray, "times nodes"],
    v: Float[AnyArray, "times nodes"],
) -> go.Figure:
    """Prey and predator in space and time, one colour scale for both."""
    figure = make_subplots(cols=2, shared_yaxes=True, subplot_titles=["prey u", "predator v"])
    for column, field in enumerate((np.asarray(u), np.asarray(v)), start=1):
        heat = go.Heatmap(x=np.asarray(times), z=field.T, coloraxis="coloraxis")
        figure.add_trace(heat, row=1, col=column)
    style(figure, height=340)
    bar = {"title": {"text": "density<br>(1)"}}
    figure.update_layout(coloraxis={"colorscale": "Cividis", "colorbar": bar})
    figure.update_xaxes(title_text=TIME).update_yaxes(showgrid=False)
    return figure.update_yaxes(title_text="node (index)", col=1)


def observable_traces(
    times: Float[AnyArray, " times"],
    observables: Float[AnyArray, "times k"],
    names: Sequence[str],
    predictions: Mapping[str, Float[AnyArray, "*members times k"]] | None = None,
) -> list[go.Scatter]:
    """The truth, the names of its lines, and one trace for each prediction with all its members."""
    times, truth = np.asarray(times), np.asarray(observables)
    x, y = joined(times, truth.T)
    late = int(0.6 * len(times))
    above = np.where(truth[late] == truth[late].max(), 1, -1)  # names outside of the lines
    traces = [
        go.Scatter(x=x, y=y, name="truth", line={"color": GREY, "width": 8}, opacity=0.45),
        go.Scatter(
            x=np.full(len(names), times[late]),
            y=truth[late] + 0.03 * max(1, np.ptp(truth)) * above,
            text=list(names),
            mode="text",
            textposition=["top center" if up > 0 else "bottom center" for up in above],
            cliponaxis=False,  # a word above the highest point lies on the frame, whole
            showlegend=False,
            hoverinfo="skip",
        ),
    ]
    for colour, (name, lines) in zip(COLOURS, (predictions or {}).items(), strict=False):
        lines = np.asarray(lines).reshape(-1, len(times), truth.shape[1])
        x, y = joined(times, np.moveaxis(lines, 1, 2).reshape(-1, len(times)))
        traces.append(go.Scatter(x=x, y=y, name=name, line={"color": colour, "width": 1.8}))
    return traces


def observables_figure(
    times: Float[AnyArray, " times"],
    observables: Float[AnyArray, "times k"],
    names: Sequence[str],
    predictions: Mapping[str, Float[AnyArray, "*members times k"]] | None = None,
    *,
    unit: str = "density (1)",
) -> go.Figure:
    """Observables over time: the truth as a thick line, each member of a prediction as a thin one.

    - `predictions`: name → (members, times, k) or (times, k); NaN leaves a gap.
    - `unit`: title of their axis.
    """
    figure = go.Figure(observable_traces(times, observables, names, predictions))
    style(figure, height=380)
    return figure.update_xaxes(title_text=TIME).update_yaxes(title_text=unit)


def plane_figure(
    fields: Float[AnyArray, "frames rows columns"],
    titles: Sequence[str],
    nodes: Int[AnyArray, "drawn 2"] | None = None,
) -> go.Figure:
    """Frames of a phase field in the plane, −1 … 1, side by side.

    - `nodes`: (row, column) of nodes whose force is bought, dots on the last frame.
    """
    fields = np.round(np.asarray(fields, float), 2)  # a figure is stored with its numbers
    figure = make_subplots(cols=len(fields), subplot_titles=list(titles), horizontal_spacing=0.03)
    for column, field in enumerate(fields, start=1):
        figure.add_trace(go.Heatmap(z=field, coloraxis="coloraxis"), row=1, col=column)
    if nodes is not None:
        rows, columns = np.asarray(nodes).T
        dots = {"color": COLOURS[0], "size": 3}
        figure.add_trace(
            go.Scatter(x=columns, y=rows, mode="markers", marker=dots, hoverinfo="skip"),
            row=1,
            col=len(fields),
        )
    style(figure, height=330).update_layout(showlegend=False, margin={"l": 10, "b": 10})
    figure.update_layout(
        coloraxis={
            "colorscale": "Cividis",
            "cmin": -1,
            "cmax": 1,
            "colorbar": {"title": {"text": "u"}},
        }
    )
    figure.update_xaxes(visible=False, constrain="domain")
    for column in range(1, len(fields) + 1):
        anchor = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(visible=False, scaleanchor=anchor, row=1, col=column)
    return figure


def atoms_figure(
    r: Float[AnyArray, "atoms 3"], box: float, drawn: Int[AnyArray, " drawn"]
) -> go.Figure:
    """Atoms in a periodic cube in 3-D, to be turned with the mouse.

    - `r`: positions, brought into the cube of side `box`. - `drawn`: atoms whose force is bought.
    """
    r = np.round(np.asarray(r, float) % box, 2)  # a figure is stored with its numbers
    others = np.setdiff1d(np.arange(len(r)), drawn)
    figure = go.Figure()
    for name, atoms, colour, opacity in (
        (f"{len(others)} others", others, COLOURS[1], 0.35),
        (f"{len(drawn)} atoms whose force is bought", np.asarray(drawn), COLOURS[0], 1.0),
    ):
        x, y, z = r[atoms].T
        marker = {"size": 5, "color": colour, "opacity": opacity, "line": {"width": 0}}
        figure.add_trace(
            go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, name=name, hoverinfo="skip")
        )
    corners = np.array(list(itertools.product((0, box), repeat=3)))
    edges = [(a, b) for a, b in itertools.combinations(corners, 2) if (a != b).sum() == 1]
    x, y, z = np.array([(a, b, 3 * [np.nan]) for a, b in edges]).reshape(-1, 3).T
    line = {"color": GREY, "width": 2}
    figure.add_trace(
        go.Scatter3d(x=x, y=y, z=z, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    )
    axis = {"visible": False, "range": [0, box]}
    scene = {"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "cube"}
    scene["camera"] = {"eye": {"x": 2.0, "y": 1.2, "z": 0.9}}
    return style(figure, height=480).update_layout(scene=scene, margin={"l": 0, "r": 0, "b": 0})


def score_traces(
    scores: Sequence[Any], learners: Sequence[str]
) -> tuple[list[go.Scatter], list[go.Scatter]]:
    """For roll-out error and for |y − g|²/Var(y): each learner's members, and their mean.

    A mean with a diverged member is not shown; its other members are.
    """
    left, right = [], []
    for number, name in enumerate(learners):
        colour, mine = COLOURS[number % len(COLOURS)], [s for s in scores if s.learner == name]
        forces = [s.forces for s in mine]
        errors = [np.asarray(s.error) for s in mine]
        left += error_traces(name, colour, forces, errors)
        errors = [np.asarray(s.field_error).mean(axis=1) for s in mine]
        right += error_traces(name, colour, forces, errors, legend=False)
    return left, right


def error_traces(
    name: str,
    colour: str,
    x: Sequence[float],
    errors: Sequence[Float[AnyArray, " members"]],
    *,
    legend: bool = True,
) -> list[go.Scatter]:
    """Dots for the members at each x, and a line through their means."""
    pairs = list(zip(x, errors, strict=True))
    dots = [(n, float(e)) for n, own in pairs for e in own if np.isfinite(e)]
    means = [float(own.mean()) if np.isfinite(own).all() else None for _, own in pairs]
    group = {"name": name, "legendgroup": name}
    marker = {"color": colour, "size": 6, "opacity": 0.6}
    line = {"mode": "lines+markers", "line": {"color": colour, "width": 3}}
    line |= {"marker": {"size": 10}, "showlegend": legend}
    return [
        go.Scatter(
            x=[n for n, _ in dots],
            y=[e for _, e in dots],
            mode="markers",
            marker=marker,
            showlegend=False,
            **group,
        ),
        go.Scatter(x=list(x), y=means, **line, **group),
    ]


def scores_figure(scores: Sequence[Any]) -> go.Figure:
    """Error of held-out roll-outs, and |y − g|²/Var(y), against the distinct forces bought so far.

    - `scores`: of rounds of a contest; dots are members, lines their mean.
    """
    learners = list(dict.fromkeys(score.learner for score in scores))
    figure = make_subplots(cols=2, horizontal_spacing=0.12)
    for column, traces in enumerate(score_traces(scores, learners), start=1):
        for trace in traces:
            figure.add_trace(trace, row=1, col=column)
    style(figure, height=400)
    figure.update_xaxes(forces_axis([score.forces for score in scores]))
    figure.update_yaxes(log_axis(ERROR), col=1)
    return figure.update_yaxes(log_axis(FIELD_ERROR), col=2)


def demo_figure(
    runs: Sequence[Mapping[str, Any]],
    published: Mapping[str, Mapping[int, tuple[float, float]]] | None = None,
) -> go.Figure:
    """Test errors of all seeds on one strip a loss, with their mean: further left is better.

    - `runs`: entries of `run_cell`; a diverged seed (None) is named in the strip's label.
    - `published`: loss → {forces: (mean, s.d.)}, drawn hollow, with their forces where they differ.
    """
    figure = go.Figure()
    shown = [error for run in runs for error in run["errors"] if error is not None]
    for colour, run in zip(COLOURS, runs, strict=False):
        errors = [error for error in run["errors"] if error is not None]
        lost = len(run["errors"]) - len(errors)
        label = loss_name(run["loss"]) + (f"<br>{lost} diverged" if lost else "")
        dots = {"color": colour, "size": 13, "opacity": 0.45}
        figure.add_scatter(x=errors, y=[label] * len(errors), mode="markers", marker=dots)
        if run["error_mean"] is not None:
            figure.add_scatter(
                x=[run["error_mean"]],
                y=[label],
                text=[f"<b>{run['error_mean']:.2g}</b>"],
                mode="markers+text",
                textposition="top center",
                textfont={"color": colour, "size": 20},
                marker={"size": 22, "symbol": "line-ns", "line": {"color": colour, "width": 5}},
            )
        for forces, (mean, deviation) in (published or {}).get(run["loss"], {}).items():
            other = "" if forces == run["forces_training"] else f", {thousands(forces)} forces"
            figure.add_scatter(
                x=[mean],
                y=[label],
                error_x={"array": [deviation], "color": colour, "thickness": 1.5},
                text=[f"published{other}"],
                mode="markers+text",
                textposition="bottom center",
                marker={"size": 13, "symbol": "diamond-open", "color": colour},
            )
            shown += [mean - deviation, mean + deviation]
    forces, seeds = runs[0]["forces_training"], len(runs[0]["errors"])
    title = f"{forces:,} forces each, the same steps, {seeds} seeds: error on unseen starts"
    style(figure, height=340, title=title).update_layout(showlegend=False)
    figure.update_layout(margin={"l": 230, "r": 60})
    figure.update_xaxes(log_axis(f"{ERROR}: dots are seeds, bars their mean; left is better"))
    figure.update_xaxes(range=log_range(shown))
    below, above = len(runs) - 0.5, -0.7
    return figure.update_yaxes(range=[below, above], showgrid=False, tickfont={"size": 16})


def recorded_figure(
    record: Mapping[str, Any],
    published: Mapping[str, Mapping[int, tuple[float, float]]] | None = None,
) -> go.Figure:
    """Mean ± s.d. of the test error against forces, from a record of `macrokit reproduce`.

    - `published`: loss → {forces: (mean, s.d.)}, drawn hollow and dotted.
    """
    figure = go.Figure()
    losses = list(dict.fromkeys(run["loss"] for run in record["runs"]))
    for colour, loss in zip(COLOURS, losses, strict=False):
        runs = [r for r in record["runs"] if r["loss"] == loss and r["error_mean"] is not None]
        here = {r["forces_training"]: (r["error_mean"], r["error_std"]) for r in runs}
        _with_bars(figure, here, f"{loss_name(loss)}, here", colour, dash="solid")
        theirs = (published or {}).get(loss, {})
        if theirs:
            _with_bars(figure, theirs, f"{loss_name(loss)}, published", colour, dash="dot")
    style(figure, height=440)
    figure.update_xaxes(forces_axis([run["forces_training"] for run in record["runs"]]))
    return figure.update_yaxes(log_axis("test " + ERROR))


def sites_figure(
    u: Float[AnyArray, " nodes"], v: Float[AnyArray, " nodes"], sites: Int[AnyArray, " drawn"]
) -> go.Figure:
    """One state, and the sites on which the force is bought: 0 … n−1 prey, n … 2n−1 predator."""
    u, v, sites = np.asarray(u), np.asarray(v), np.asarray(sites)
    figure = go.Figure()
    nodes = np.arange(len(u))
    for number, (name, field) in enumerate({"prey u": u, "predator v": v}.items()):
        drawn = sites[sites // len(u) == number] % len(u)
        line = {"color": GREY, "width": 2, "dash": ("solid", "dot")[number]}
        dots = {"color": COLOURS[1 - number], "size": 11}
        figure.add_scatter(x=nodes, y=field, name=name, mode="lines", line=line)
        figure.add_scatter(
            x=drawn, y=field[drawn], name=f"force bought: {name}", mode="markers", marker=dots
        )
    title = f"{len(sites)} of {2 * len(u)} forces bought in this snapshot"
    style(figure, height=380, title=title)
    return figure.update_xaxes(title_text="node (index)").update_yaxes(title_text="density (1)")


def joined(x: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Several lines over the same x as one, with gaps between them."""
    gap = np.full((len(lines), 1), np.nan)
    y = np.concatenate([lines, gap], axis=1).reshape(-1)[:-1]
    return np.tile(np.append(x, np.nan), len(lines))[:-1], y


def _with_bars(
    figure: go.Figure,
    values: Mapping[int, tuple[float, float]],
    name: str,
    colour: str,
    *,
    dash: str,
) -> None:
    forces = sorted(values)
    symbol = "circle" if dash == "solid" else "circle-open"
    figure.add_scatter(
        x=forces,
        y=[values[n][0] for n in forces],
        error_y={"array": [values[n][1] for n in forces], "color": colour, "thickness": 1.5},
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 3, "dash": dash},
        marker={"size": 10, "symbol": symbol},
    )


def loss_name(name: str) -> str:
    """What a loss is called in a figure."""
    letters = re.sub(r"_(?:{(.+)}|(\w))", r"<sub>\1\2</sub>", name)
    return f"{_LOSSES[name]}, {letters}" if name in _LOSSES else letters
