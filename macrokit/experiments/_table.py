"""Runs as text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._folders import record_path, results_folder
from ._specifications import EXPERIMENTS, TITLES
from ._statistics import interval, or_infinite, rank_correlation, time_spent


def table(runs: list[dict[str, Any]]) -> str:
    """The outcome as text: forces paid for training and for trajectories, errors, seconds.

    Sites, model, design and closure have columns where there are several, and `predicted`, what
    the gauge expected, where it is known.
    """
    columns = {"loss": [run["loss"] for run in runs]}
    for setting in ("sites", "model", "design", "closure"):
        values = [run.get(setting, "") for run in runs]
        if len(set(values)) > 1:
            columns[setting] = [str(value) for value in values]
    columns |= {
        "forces (training)": [f"{run['forces_training']:,}" for run in runs],
        "forces (trajectories)": [f"{run['forces_trajectories']:,}" for run in runs],
        "mean": [_error(run["error_mean"]) for run in runs],
        "90 % interval": [_interval(run["errors"]) for run in runs],
        "median": [_error(run["error_median"]) for run in runs],
        "worst": [_error(max(run["errors"], key=or_infinite)) for run in runs],
    }
    if all("predicted" in run for run in runs):
        columns["predicted"] = [_error(run["predicted"]) for run in runs]
    columns["s"] = [f"{run['seconds']:.0f}" for run in runs]
    rows = [tuple(columns), *zip(*columns.values(), strict=True)]
    lines = _aligned(rows, str.rjust)
    seeds = len(runs[0]["seeds"])
    lines.append(f"relative error of the roll-out, {seeds} seeds; interval of the mean")
    if "predicted" in columns and len(runs) > 2:
        ranks = f"{rank_correlation(runs):.2f} over {len(runs)} runs"
        lines.append(f"rank correlation of mean and predicted: {ranks}")
    return "\n".join(lines)


def overview() -> str:
    """Every experiment: what it asks, where in the paper, and the minutes that its record at full
    size took; a notebook beside the file browser shows 107 characters."""
    rows = [("name", "asks", "paper", "protocol", "cells", "minutes")]
    for name, protocol, size in EXPERIMENTS:
        if size == "full":
            cells = len(EXPERIMENTS[name, protocol, size].cells)
            path = record_path(results_folder(), name, protocol, size)
            rows.append((name, *TITLES[name], protocol, str(cells), _minutes(path)))
    return "\n".join(_aligned(rows, str.ljust))


def _minutes(path: Path) -> str:
    if not path.exists():
        return "–"
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return f"{sum(time_spent(runs).values()) / 60:.0f}"


def _aligned(rows: list[tuple[str, ...]], side: Callable[[str, int], str]) -> list[str]:
    """Columns of one width, under a line behind the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(side, row, widths)).rstrip() for row in rows]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _error(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.2e}"


def _interval(errors: list[float | None]) -> str:
    if len(errors) < 2 or None in errors:
        return "–"
    low, high = interval(errors)
    return f"{low:.2e} … {high:.2e}"
