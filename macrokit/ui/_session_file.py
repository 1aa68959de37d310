"""A session as one file: trials with their scores, roll-outs, networks and what they learn from."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .. import experiments
from .._storage import write_whole
from ._trial import SETTINGS, Trial

_FORMAT, _VERSION = "macrokit session", 1
_ARRAYS = ("error", "field_error")


def pack(trials: list[Trial]) -> bytes:
    """The trials as a zip: `session.json`, and of each trial its arrays and its networks."""
    body, described = io.BytesIO(), []
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as file:
        for number, trial in enumerate(trials):
            described.append(_described(trial))
            arrays = {} if trial.forecast is None else dataclasses.asdict(trial.forecast)
            for place, score in enumerate(trial.scores):
                arrays |= {f"{name}-{place}": getattr(score, name) for name in _ARRAYS}
            content = io.BytesIO()
            np.savez(content, **arrays)
            file.writestr(f"trial-{number}.npz", content.getvalue())
            networks = trial.packed()
            if networks is not None:
                file.writestr(f"trial-{number}.mk", networks)
        header = {"format": _FORMAT, "version": _VERSION, "trials": described}
        file.writestr("session.json", json.dumps(header, indent=1))
    return body.getvalue()


def unpack(content: bytes) -> list[Trial]:
    """The trials of a file of `pack`; nothing in it is executed.

    Raises `ValueError` that says what is wrong with it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            header = json.loads(file.read("session.json"))
            if header["format"] != _FORMAT:
                raise KeyError(_FORMAT)
            if header["version"] <= _VERSION:
                return [_restored(file, n, said) for n, said in enumerate(header["trials"])]
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, TypeError, EOFError) as error:
        raise ValueError(
            "This is not a whole macrokit session. Open a file that 'Save session' has written, "
            f"or an earlier copy of it ({type(error).__name__}: {error})."
        ) from error
    raise ValueError(
        f"This session has format version {header['version']}; this macrokit reads up to "
        f"{_VERSION}. Update macrokit."
    )


def save_session(path: Path, trials: list[Trial]) -> Path:
    """Write the session; raises `ValueError` where there is nothing to write."""
    if not trials:
        raise ValueError("There is nothing to save yet. Press Train first.")
    write_whole(path, pack(trials))
    return path


def _described(trial: Trial) -> dict[str, Any]:
    scores = [
        {"forces": s.forces, "step": s.step, "seconds": s.seconds, "learner": s.learner}
        for s in trial.scores
    ]
    return {
        "name": trial.name,
        "arena": trial.arena,
        "learner": dataclasses.asdict(trial.learner),
        "settings": trial.settings,
        "shown": trial.shown,
        # What was in training when it was saved goes on when it is opened.
        "state": "stopped" if trial.state == "running" else trial.state,
        "done": trial.done,
        "forces": trial.forces,
        "error": "" if trial.error is None else f"{type(trial.error).__name__}: {trial.error}",
        "scores": scores,
    }


def _restored(file: zipfile.ZipFile, number: int, said: dict[str, Any]) -> Trial:
    settings = {name: said["settings"][name] for name in SETTINGS}
    settings["budgets"] = tuple(settings["budgets"])
    learner = experiments.Learner(**said["learner"])
    trial = Trial(said["name"], said["arena"], learner, settings, number)
    trial.shown, trial.state = said["shown"], said["state"]
    trial.done, trial.forces = said["done"], said["forces"]
    trial.error, trial.told = RuntimeError(said["error"]) if said["error"] else None, True
    with np.load(io.BytesIO(file.read(f"trial-{number}.npz")), allow_pickle=False) as arrays:
        trial.scores = tuple(
            experiments.Score(**score, **{name: arrays[f"{name}-{place}"] for name in _ARRAYS})
            for place, score in enumerate(said["scores"])
        )
        if "predicted" in arrays:
            names = [field.name for field in dataclasses.fields(experiments.Forecast)]
            trial.forecast = experiments.Forecast(**{name: arrays[name] for name in names})
    if f"trial-{number}.mk" in file.namelist():
        trial.stored = file.read(f"trial-{number}.mk")
    return trial
