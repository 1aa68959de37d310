"""Where records and large data are kept."""

import os
from pathlib import Path


def results_folder() -> Path:
    """`notebooks/results` of the checkout that macrokit is installed from, else of this folder."""
    return _notebooks() / "results"


def record_path(folder: Path, name: str, protocol: str, size: str) -> Path:
    """The record of an experiment, `predator-prey-losses-published-full.json` for example."""
    published = "-published" if protocol == "published" else ""
    return folder / f"{name}{published}-{size}.json"


def data_folder() -> Path:
    """Where data that do not fit in memory are kept: what the environment variable MACROKIT_DATA
    names, else `notebooks/data` beside the records."""
    named = os.environ.get("MACROKIT_DATA")
    return Path(named) if named else _notebooks() / "data"


def _notebooks() -> Path:
    checkout = Path(__file__).parents[2]
    base = checkout if (checkout / "notebooks").is_dir() else Path.cwd()
    return base / "notebooks"
