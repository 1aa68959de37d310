"""`macrokit demo`: two cells, a table, and one JSON object."""

import json
from pathlib import Path

import pytest
from catalogue import benchmark
from test_cells import KEYS

from macrokit.__main__ import main
from macrokit.experiments import Cell, _demo, demo, table


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_demo, "predator_prey", benchmark)
    monkeypatch.setattr(_demo, "FORCES", 2_000)


@pytest.mark.slow
def test_json_is_all_there_is_on_standard_output(small, capsys: pytest.CaptureFixture) -> None:
    assert main(["demo", "--json", "--steps", "50", "--seed", "3"]) == 0
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    runs = json.loads(line)["runs"]
    assert json.loads(line).keys() == {"runs"}
    assert [run["loss"] for run in runs] == ["L_z", "L_{x,1/5}"]
    for run in runs:
        assert run.keys() >= KEYS
        assert run["seeds"] == [3, 4, 5, 6]
        assert (run["forces_training"], run["steps"]) == (2_000, 50)
        assert (run["model"], run["design"]) == ("onsagernet", "without-replacement")
    assert "learning from 1/5 of the forces: 100%" in printed.err
    assert "100/100" in printed.err


class Machine:
    """Runs cells in no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.cells = []
        monkeypatch.setattr(_demo, "predator_prey", lambda: "the data")
        monkeypatch.setattr(_demo, "run_cell", self)

    def __call__(self, data, cell: Cell, *, seed: int, report) -> dict:
        assert data == "the data"
        self.cells.append((cell, seed))
        report(cell.steps, cell.steps, 0.0)
        errors = {"errors": [0.1, 0.3], "error_mean": 0.2, "error_median": 0.2, "error_std": 0.1}
        names = {"loss": cell.loss, "seeds": [0, 1], "estimator": cell.estimator}
        costs = {"forces_training": cell.forces, "forces_trajectories": 480_000_000}
        return names | errors | costs | {"seconds": 61.4, "fraction": cell.fraction}


def test_the_contest_is_fair(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    machine = Machine(monkeypatch)
    demo(as_json=True, seed=7)
    (full, seed), (part, _) = machine.cells
    assert (full.loss, part.loss, seed) == ("L_z", "L_{x,1/5}", 7)
    for name in ("forces", "steps", "seeds", "model", "scaling", "optimiser", "order", "batch"):
        assert getattr(full, name) == getattr(part, name)
    assert full.forces == 60_000
    assert len(full.seeds) >= 4


def test_a_table_and_a_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    Machine(monkeypatch)
    page = tmp_path / "demo.html"
    demo(html=page)
    out = capsys.readouterr().out
    for text in ("L_z", "L_{x,1/5}", "60,000", "480,000,000", "2.00e-01", str(page)):
        assert text in out
    assert "plotly" in page.read_text(encoding="utf-8")


def test_a_diverged_network_in_the_table() -> None:
    run = {
        "loss": "L_z",
        "forces_training": 1,
        "forces_trajectories": 2,
        "seeds": [0, 1, 2],
        "seconds": 3,
        "errors": [0.5, None, 0.25],
        "error_mean": None,
        "error_median": 0.5,
    }
    text = table([run])
    assert text.count("diverged") == 2  # the mean and the worst
    assert "5.00e-01" in text
