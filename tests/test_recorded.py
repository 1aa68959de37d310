"""Numbers in the README come from the committed records."""

import json
import re
from pathlib import Path

import pytest

from macrokit.experiments import EXPERIMENTS

ROOT = Path(__file__).resolve().parents[1]
RECORDS = sorted((ROOT / "notebooks" / "results").glob("*.json"))
RUN_KEYS = {
    "system", "model", "estimator", "design", "loss", "fraction", "forces_training",
    "forces_trajectories", "seeds", "errors", "error_mean", "error_median", "error_std", "seconds",
}  # fmt: skip


def entry(run: dict) -> str:
    return f"{run['error_mean']:.2e} ± {run['error_std']:.1e}".replace("e-0", "e-")


def test_there_are_records():
    assert {path.stem for path in RECORDS} >= {"predator-prey-full", "predator-prey-small"}


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_how_it_was_made(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record.keys() == {"command", "versions", "device", "seconds", "runs"}
    assert record["command"].startswith("macrokit reproduce ")
    for run in record["runs"]:
        assert run.keys() >= RUN_KEYS
        assert len(run["errors"]) == len(run["seeds"])


def test_the_full_record_left_no_seed_out():
    record = json.loads((ROOT / "notebooks/results/predator-prey-full.json").read_text())
    cells = EXPERIMENTS["predator-prey", "fair", "full"].cells
    assert [(r["loss"], r["seeds"], r["steps"]) for r in record["runs"]] == [
        (c.loss, list(range(8)), c.steps) for c in cells
    ]


def test_readme_quotes_the_record():
    record = json.loads((ROOT / "notebooks/results/predator-prey-full.json").read_text())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d,]+) \| \S+ \| (.+?) \| (.+?) \|$", readme, re.M)
    quoted = {int(forces.replace(",", "")): cells for forces, *cells in rows}
    measured: dict[int, list[str]] = {}
    for loss in ("L_{x,1/5}", "L_z"):
        for run in record["runs"]:
            if run["loss"] == loss:
                measured.setdefault(run["forces_training"], []).append(entry(run))
    assert quoted == measured


def test_readme_quotes_the_closures():
    record = json.loads((ROOT / "notebooks/results/predator-prey-closures-full.json").read_text())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    measured: dict[str, list[dict]] = {}
    for run in record["runs"]:
        measured.setdefault(run["closure"], []).append(run)
    for runs in measured.values():
        defects = ", ".join(f"{run['lift_defect']:.2g}" for run in runs)
        errors = ", ".join(f"{run['error_mean']:.1e}".replace("e-0", "e-") for run in runs)
        assert f"| {defects} | {errors} |" in readme
