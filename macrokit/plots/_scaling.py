"""What larger and larger systems cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ._style import COLOURS, from_best_to_worst, style, thousands

SITES = "sites of the system (number)"


def scaling_figure(costs: Sequence[Mapping[str, Any]], error: float) -> go.Figure:
    """What it took to reach an `error`, against the size of the system: forces bought, and the
    seconds that they and their labels take. Geometric means of the seeds, bars from the best to the
    worst; hollow where not all of them reached it.

    - `costs`: as `experiments.costs_to_reach` says them.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.14)
    titles = {
        "forces": f"forces to reach {error:g} (site forces)",
        "seconds": "their seconds, labels included (s)",
    }
    sizes = sorted({cost["sites"] for cost in costs})
    estimators = dict.fromkeys(cost["estimator"] for cost in costs)
    for colour, estimator in zip(COLOURS, estimators, strict=False):
        mine = [cost for cost in costs if cost["estimator"] == estimator]
        for column, what in enumerate(titles, start=1):
            middle = [np.exp(np.log(cost[what]).mean()) for cost in mine]
            figure.add_scatter(
                x=[cost["sites"] for cost in mine],
                y=middle,
                error_y=from_best_to_worst([cost[what] for cost in mine], middle)
                | {"color": colour},
                name="all sites" if estimator == "exact" else f"some sites, {estimator}",
                showlegend=column == 1,
                mode="lines+markers",
                line={"color": colour, "width": 3},
                marker={
                    "size": 11,
                    "symbol": ["circle" if c["reached"] else "circle-open" for c in mine],
                },
                row=1,
                col=column,
            )
    style(figure, height=440)
    figure.update_xaxes(
        type="log", title_text=SITES, tickvals=sizes, ticktext=[thousands(n) for n in sizes]
    )
    for column, title in enumerate(titles.values(), start=1):
        figure.update_yaxes(
            type="log", title_text=title, dtick=1, exponentformat="power", col=column
        )
    return figure
