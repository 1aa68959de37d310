"""The house style: colours, axes, and what they are called."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from plotly.basedatatypes import BaseFigure

GREY = "#808080"
# Okabe & Ito: vermilion, blue, green, purple, orange, sky.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

FORCES = "forces bought (distinct site forces)"
ERROR = "roll-out error (relative)"
FIELD_ERROR = "|y − g|² / Var y (1)"
TIME = "time (model units)"


def style(figure: BaseFigure, *, height: int = 420, title: str | None = None) -> BaseFigure:
    """The house style, in place."""
    figure.update_layout(
        height=height,
        title={"text": title, "x": 0, "xref": "paper", "font": {"size": 17}} if title else None,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 14},
        margin={"l": 70, "r": 20, "t": 70 if title else 40, "b": 60},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    axes = {
        "gridcolor": "rgba(127,127,127,0.25)",
        "linecolor": GREY,
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "tickcolor": GREY,
        "title_standoff": 8,
    }
    figure.update_xaxes(axes).update_yaxes(axes)
    return figure


def legend_beside(figure: BaseFigure) -> BaseFigure:
    """The legend as a column on the right, in place, where its entries are many."""
    return figure.update_layout(
        legend={"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"},
        margin={"t": 30},
    )


def log_axis(title: str, labels: tuple[int, ...] = (1, 3)) -> dict[str, Any]:
    """A logarithmic axis with labels at these multiples of each power of ten."""
    values = [n * 10.0**e for e in range(-9, 3) for n in labels]
    text = [f"{value:.9f}".rstrip("0").rstrip(".") for value in values]
    return {"type": "log", "title_text": title, "tickvals": values, "ticktext": text}


def log_range(values: Sequence[float]) -> list[float]:
    """The range of a logarithmic axis: room for all, and at least a decade, so that a difference
    of a few per cent does not look like a victory."""
    low, high = np.log10([min(values), max(values)]) if values else (-4, 0)
    room = max(1 - (high - low), 0.2) / 2
    return [low - room, high + room]


def forces_axis(forces: Sequence[int], title: str = FORCES) -> dict[str, Any]:
    """A logarithmic axis of forces, labelled at the budgets."""
    ticks = sorted(set(forces))
    ends = [np.log10(ticks[0] / 1.25), np.log10(ticks[-1] * 1.25)] if ticks else None
    return {
        "type": "log",
        "title_text": title,
        "tickvals": ticks,
        "ticktext": [thousands(n) for n in ticks],
        "range": ends,
    }


def thousands(number: int) -> str:
    if number % 1000 or number < 1000:
        return f"{number:,}"
    if number >= 1_000_000:
        return f"{number / 1_000_000:g}M"
    return f"{number // 1000}k"


def from_best_to_worst(
    values: Sequence[Collection[float]], middles: Sequence[float]
) -> dict[str, Any]:
    """Error bars over all `values` of each of the points at `middles`."""
    pairs = list(zip(values, middles, strict=True))
    return {
        "array": [max(own) - middle for own, middle in pairs],
        "arrayminus": [middle - min(own) for own, middle in pairs],
        "thickness": 1.2,
    }
