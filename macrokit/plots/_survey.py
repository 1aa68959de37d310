"""Sampling: noise against the number of sites, and estimates over redraws."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int
from plotly.subplots import make_subplots

from .._types import AnyArray
from ._style import COLOURS, GREY, legend_beside, style

SITES = "sites drawn in a snapshot (number)"
NOISE = "sampling noise ν (1; less than 10⁻⁶ drawn there)"
_LEAST = 1e-6  # what is less is of no consequence, and a logarithm has no zero


def noise_figure(
    numbers: Float[AnyArray, " numbers"] | tuple[int, ...],
    curves: Mapping[tuple[str, str], Float[AnyArray, " numbers"]],
    *,
    recommended: int | None = None,
    defect: float | None = None,
) -> go.Figure:
    """ν against the number of sites: a colour for each design, a dash for each estimator.

    - `curves`: ν by (estimator, design). - `recommended`: a number of sites to mark.
    - `defect`: δ, below which less noise helps nothing.
    """
    figure = go.Figure()
    dashes = dict(zip(dict.fromkeys(e for e, _ in curves), ("solid", "dot", "dash"), strict=False))
    colours = dict(zip(dict.fromkeys(d for _, d in curves), COLOURS, strict=False))
    for (estimator, design), noise in curves.items():
        figure.add_scatter(
            x=np.asarray(numbers),
            y=np.maximum(noise, _LEAST),
            name=f"{estimator}, {design}",
            mode="lines+markers",
            line={"color": colours[design], "dash": dashes[estimator], "width": 3},
            marker={"size": 7},
        )
    if recommended is not None:
        figure.add_vline(recommended, line={"color": GREY, "dash": "dash"})
        figure.add_annotation(
            x=np.log10(recommended),
            y=1,
            yref="paper",
            yanchor="top",
            xanchor="left",
            text=f" {recommended} recommended",
            showarrow=False,
        )
    if defect is not None and defect > _LEAST:
        figure.add_hline(defect, line={"color": GREY})
        figure.add_annotation(
            x=0.01,
            xref="paper",
            y=np.log10(defect),
            xanchor="left",
            yanchor="bottom",
            text="δ, what z cannot tell",
            showarrow=False,
        )
    legend_beside(style(figure, height=460))
    ticks = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n <= max(numbers)]
    figure.update_xaxes(type="log", title_text=SITES, tickvals=ticks)
    return figure.update_yaxes(type="log", title_text=NOISE, dtick=1, exponentformat="power")


def histogram_traces(
    estimates: Float[AnyArray, " redraws"], truth: float, deviation: float, *, bins: int = 60
) -> tuple[go.Bar, go.Scatter]:
    """Estimates over redraws as a density, and the normal one of the predicted deviation."""
    estimates = np.asarray(estimates)
    width = max(float(deviation), float(estimates.std()) if len(estimates) else 0.0, 1e-12)
    edges = truth + width * np.linspace(-4.5, 4.5, bins + 1)
    counts, _ = np.histogram(estimates, edges)
    share = counts / max(len(estimates), 1) / np.diff(edges)
    x = truth + width * np.linspace(-4.5, 4.5, 201)
    predicted = max(float(deviation), 1e-3 * width)
    bell = np.exp(-0.5 * ((x - truth) / predicted) ** 2) / (predicted * np.sqrt(2 * np.pi))
    middle = (edges[1:] + edges[:-1]) / 2
    bars = go.Bar(
        x=middle, y=share, width=np.diff(edges), name="redraws", marker={"color": COLOURS[1]}
    )
    line = {"color": COLOURS[0], "width": 3}
    return bars, go.Scatter(x=x, y=bell, name="predicted", mode="lines", line=line)


def running_z(
    estimates: Float[AnyArray, " redraws"], truth: float
) -> tuple[Int[np.ndarray, " shown"], Float[np.ndarray, " shown"]]:
    """After how many redraws, and how many standard errors the mean is then from the truth."""
    estimates = np.asarray(estimates, float) - truth
    counts = np.unique(np.geomspace(10, max(len(estimates), 10), 200).astype(int))
    counts = counts[counts <= len(estimates)]
    first, second = np.cumsum(estimates), np.cumsum(estimates**2)
    mean = first[counts - 1] / counts
    spread = np.sqrt(np.maximum(second[counts - 1] / counts - mean**2, 1e-30))
    return counts, mean / (spread / np.sqrt(counts))


def redraws_figure(
    estimates: Mapping[str, Float[AnyArray, " redraws"]],
    truth: float,
    deviations: Mapping[str, float],
    *,
    quantity: str = "dz/dt",
) -> go.Figure:
    """For each name: the histogram of the estimates, and the running test of their mean."""
    names = list(estimates)
    figure = make_subplots(
        rows=len(names),
        cols=2,
        column_widths=[0.58, 0.42],
        horizontal_spacing=0.12,
        vertical_spacing=0.35 / len(names),
        subplot_titles=[title for name in names for title in (name, "")],
    )
    for row, name in enumerate(names, start=1):
        bars, bell = histogram_traces(estimates[name], truth, deviations[name])
        figure.add_trace(bars.update(showlegend=row == 1), row=row, col=1)
        figure.add_trace(bell.update(showlegend=row == 1), row=row, col=1)
        figure.add_vline(truth, line={"color": GREY, "dash": "dash"}, row=row, col=1)
        counts, z = running_z(estimates[name], truth)
        line = {"color": COLOURS[1], "width": 2}
        figure.add_scatter(x=counts, y=z, line=line, showlegend=False, row=row, col=2)
        for bound in (-4, 4):
            figure.add_hline(bound, line={"color": GREY, "dash": "dot"}, row=row, col=2)
        figure.update_yaxes(title_text="density (1)", showticklabels=False, row=row, col=1)
        figure.update_yaxes(title_text="bias / std. error (1)", range=[-5, 5], row=row, col=2)
        figure.update_xaxes(title_text=f"estimate of {quantity} (1/time)", row=row, col=1)
        figure.update_xaxes(title_text="redraws (number)", type="log", dtick=1, row=row, col=2)
    style(figure, height=110 + 220 * len(names))
    # One scale for all, so that a narrow histogram looks narrow.
    reach = 4.5 * max(deviations.values())
    figure.update_xaxes(range=[truth - reach, truth + reach], col=1)
    return figure.update_layout(legend={"y": 1.08}, bargap=0)
