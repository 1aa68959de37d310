"""What a run leaves on disk: models, scores as CSV."""

import csv
import io
import re
from pathlib import Path

from .. import save
from .._storage import write_whole
from ._run import Run


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


def save_scores(run: Run, path: Path) -> Path:
    """The scores as CSV, a row for each learner, round and member."""
    if not run.scores:
        raise ValueError("There are no scores yet. They come at the end of the first round.")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["learner", "forces", "step", "seconds", "member", "error", "field_error"])
    for score in run.scores:
        field = score.field_error.mean(axis=1)
        for member, (error, mean) in enumerate(zip(score.error, field, strict=True)):
            head = (score.learner, score.forces, score.step, round(score.seconds, 3))
            writer.writerow([*head, member, float(error), float(mean)])
    write_whole(path, table.getvalue().encode())
    return path


def slug(name: str) -> str:
    """A name that is safe in a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
