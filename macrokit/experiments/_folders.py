"""Where records and large data are kept."""

import os
from pathlib import Path


def results_folder() -> Path:
    """`notebooks/results` of the checkout that macrokit is installed from, else of this folder."""
    return _notebooks() / "results"


def data_folder() -> Path:
    """Where data that do not fit in memory are kept: what the environment variable MACROKIT_DATA
    names, else `notebooks/data` beside the records."""
    named = os.environ.get("MACROKIT_DATA")
    return Path(named) if named else _notebooks() / "data"


def _notebooks() -> Path:
    checkout = Path(__file__).parents[2]
    base = checkout if (checkout / "notebooks").is_dir() else Path.cwd()
    return base / "notebooks"
