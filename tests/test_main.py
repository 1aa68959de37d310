"""The command line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import macrokit as mk
from macrokit import __main__, experiments
from macrokit.__main__ import main


def test_bad_input_is_one_line_on_standard_error(capsys: pytest.CaptureFixture) -> None:
    assert main(["reproduce", "lorenz"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("macrokit: No experiment 'lorenz'")


def test_no_steps(capsys: pytest.CaptureFixture) -> None:
    assert main(["demo", "--steps", "0"]) == 2
    assert capsys.readouterr().err == "macrokit: --steps must be at least 1, but got 0.\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["reproduce", "a", "--protocol", "b"], ["demo", "--jsno"]],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: macrokit" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.strip() == mk.__version__


def test_demo_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(experiments, "demo", lambda **options: asked.append(options))
    assert main(["demo"]) == 0
    assert main(["demo", "--json", "--seed", "5", "--steps", "50"]) == 0
    assert asked == [
        {"seed": 0, "as_json": False, "steps": experiments.STEPS},
        {"seed": 5, "as_json": True, "steps": 50},
    ]


def test_reproduce_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    asked = []

    def reproduce(name: str, **options) -> Path:
        asked.append((name, options))
        return tmp_path / "lorenz-small.json"

    monkeypatch.setattr(experiments, "reproduce", reproduce)
    monkeypatch.setattr(experiments, "read_results", lambda stem: {"runs": [stem]})
    monkeypatch.setattr(experiments, "table", lambda runs: f"the table of {runs[0]}")
    assert main(["reproduce", "lorenz"]) == 0
    assert main(["reproduce", "lorenz", "--full", "--protocol", "published", "--fresh"]) == 0
    plain = {"full": False, "protocol": "fair", "fresh": False}
    assert asked == [
        ("lorenz", plain),
        ("lorenz", {"full": True, "protocol": "published", "fresh": True}),
    ]
    out = capsys.readouterr().out
    assert "the table of lorenz-small" in out
    assert f"Recorded in {tmp_path / 'lorenz-small.json'}" in out


def test_reproduce_all_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = []

    def every(**options) -> list[Path]:
        asked.append(options)
        return [Path("lorenz-small.json"), Path("henon-small.json")]

    monkeypatch.setattr(experiments, "reproduce_all", every)
    monkeypatch.setattr(experiments, "read_results", lambda stem: {"runs": [stem]})
    monkeypatch.setattr(experiments, "table", lambda runs: f"the table of {runs[0]}")
    assert main(["reproduce", "all"]) == 0
    assert main(["reproduce", "all", "--full", "--protocol", "published", "--fresh"]) == 0
    assert asked == [
        {"full": False, "protocol": None, "fresh": False},
        {"full": True, "protocol": "published", "fresh": True},
    ]
    assert capsys.readouterr().out.splitlines() == 2 * [
        "the table of lorenz-small",
        "Recorded in lorenz-small.json",
        "the table of henon-small",
        "Recorded in henon-small.json",
    ]


def test_what_can_be_reproduced(capsys: pytest.CaptureFixture) -> None:
    assert main(["reproduce"]) == 0
    lines = capsys.readouterr().out.splitlines()
    full = [key for key in experiments.EXPERIMENTS if key[2] == "full"]
    assert len(lines) == 2 + len(full)
    fair = next(line for line in lines if line.startswith("allen-cahn "))
    assert re.search(r"table 1 +fair +5 +\d+$", fair)


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def interrupted(*_, **__) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiments, "reproduce", interrupted)
    assert main(["reproduce", "predator-prey"]) == 130
    assert "stopped; `reproduce` resumes" in capsys.readouterr().err


def test_lab_opens_the_start_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def run(command: list[str], **_) -> subprocess.CompletedProcess:
        calls.append(command)
        return subprocess.CompletedProcess(command, 7)

    results = tmp_path / "notebooks" / "results"
    results.mkdir(parents=True)
    monkeypatch.setattr(__main__.subprocess, "run", run)
    monkeypatch.setattr(experiments, "results_folder", lambda: results)
    assert main(["lab"]) == 2  # there is no start page yet
    (results.parent / "00_start_here.ipynb").write_text("{}")
    assert main(["lab", "--no-browser"]) == 7
    (command,) = calls
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in command
    assert command[-1] == "--no-browser"


def test_assets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(experiments, "make_assets", lambda: (Path("closure"), Path("snapshots")))
    assert main(["assets"]) == 0
    assert capsys.readouterr().out.splitlines() == ["closure", "snapshots"]


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "macrokit", "reproduce", "lorenz"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
