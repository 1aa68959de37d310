"""What a run leaves on disk: models, scores as CSV."""

import base64
import csv
import dataclasses
import html
import io
import mimetypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from .. import experiments, save
from .._storage import save_arrays, write_whole
from ._display import status_html
from ._run import Run
from ._trial import Trial

# Bytes that a link may hold: more of them would stall the page.
_LINKED = 8 << 20


def save_models(run: Run, folder: Path) -> list[Path]:
    """One file of `macrokit.save` for each learner's ensemble.

    Read one with `mk.load(path, like=lab.run.models(0))`, or with `like` built from the
    hyper-parameters that `mk.hyperparameters(path)` shows.
    """
    if run.comparison is None:
        raise ValueError("There is no model yet. Press Start first.")
    paths = []
    for number, learner in enumerate(run.contest.learners):
        path = folder / f"macrokit-{slug(learner.name)}.mk"
        settings = {
            "learner": learner.name,
            "model": learner.model,
            "scaling": learner.scaling,
            "width": learner.width,
            "members": run.contest.members,
            "fraction": learner.fraction,
            "forces": run.comparison.forces[number],
            "steps": int(run.comparison.states[number].step),
        }
        save(path, run.models(number), settings)
        paths.append(path)
    return paths


def save_scores(scores: Sequence[tuple[str, experiments.Score]], path: Path) -> Path:
    """Named scores as CSV, a row for each learner, round and member."""
    if not scores:
        raise ValueError("There are no scores yet. They come at the end of the first round.")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["learner", "forces", "step", "seconds", "member", "error", "field_error"])
    for name, score in scores:
        field = score.field_error.mean(axis=1)
        for member, (error, mean) in enumerate(zip(score.error, field, strict=True)):
            head = (name, score.forces, score.step, round(score.seconds, 3))
            writer.writerow([*head, member, float(error), float(mean)])
    write_whole(path, table.getvalue().encode())
    return path


def save_trials(trials: Sequence[Trial], path: Path) -> Path:
    """Scores and roll-outs as arrays: `<number>/name`, `…/forces`, `…/error` (rounds, members),
    `…/predicted` (members, starts, times, k) beside `…/truth` and `…/times`."""
    arrays: dict[str, Any] = {}
    for number, trial in enumerate(trials):
        own = {
            "name": trial.name,
            "system": trial.arena,
            **{
                what: np.array([getattr(score, what) for score in trial.scores])
                for what in ("forces", "step", "seconds", "error", "field_error")
            },
        }
        if trial.forecast is not None:
            own |= dataclasses.asdict(trial.forecast)
        arrays |= {f"{number}/{name}": value for name, value in own.items()}
    if not arrays:
        raise ValueError("There are no runs yet. Press Train first.")
    save_arrays(path, **arrays)
    return path


def save_figure(figure: go.Figure, path: Path) -> Path:
    """A figure as one HTML file that needs no network."""
    write_whole(path, figure.to_html(include_plotlyjs=True).encode())
    return path


def link(path: Path) -> str:
    """Where it was written, and a link that brings it to the machine of who is looking."""
    where = f"Saved {html.escape(str(path.resolve()))}"
    content = path.read_bytes()
    if len(content) <= _LINKED:
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        data = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        where += f' · <a download="{html.escape(path.name)}" href="{data}">download</a>'
    return status_html(where, "good")


def slug(name: str) -> str:
    """A name that is safe in a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
