"""The house files: environments, notebooks, README and CI."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlparse

import clean_notebooks
import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# --- environments --------------------------------------------------------------------------------


def test_binder_builds_the_same_environment() -> None:
    root = (ROOT / "environment.yml").read_bytes()
    assert (ROOT / "binder" / "environment.yml").read_bytes() == root
    post_build = ROOT / "binder" / "postBuild"
    assert os.access(post_build, os.X_OK)
    assert post_build.read_text().endswith("set -e\npip install --no-deps -e .\n")


def test_conda_and_pip_ask_for_the_same() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["lab"]
    assert sorted(conda) == sorted(["python=3.12", "pip", *pip])


# --- notebooks -----------------------------------------------------------------------------------

PNG = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0="}}
FIGURE = {
    "output_type": "display_data",
    "metadata": {},
    "data": {"application/vnd.plotly.v1+json": {"data": [], "layout": {}}},
}
TEXT = {"output_type": "stream", "name": "stdout", "text": ["size: fast"]}
PROGRESS = {"output_type": "stream", "name": "stderr", "text": ["100%|████| 3/3"]}
WIDGET = {
    "output_type": "display_data",
    "metadata": {},
    "data": {clean_notebooks.WIDGET: {"model_id": "1"}, "text/plain": ["VBox(...)"]},
}
TABLE = {
    "output_type": "execute_result",
    "execution_count": 7,
    "metadata": {},
    "data": {"text/html": ["<table></table>"], "text/plain": ["a table"]},
}


def notebook(cell_metadata: dict, execution_count: int | None, outputs: list, **metadata) -> dict:
    """A notebook of one Markdown and one code cell."""
    code = {
        "cell_type": "code",
        "id": "code",
        "metadata": cell_metadata,
        "execution_count": execution_count,
        "source": ["1 + 1"],
        "outputs": outputs,
    }
    prose = {"cell_type": "markdown", "id": "prose", "metadata": {}, "source": ["φ(x)"]}
    metadata = clean_notebooks.NOTEBOOK_METADATA | metadata
    return {"cells": [prose, code], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


CLEAN = notebook({"tags": ["sizes"]}, None, [TEXT, PNG, FIGURE, TABLE | {"execution_count": None}])
DIRTY = notebook(
    {"tags": ["sizes"], "execution": {"iopub.execute_input": "2026-01-01"}, "scrolled": True},
    7,
    [PROGRESS, TEXT, WIDGET, PNG, FIGURE, TABLE],
    widgets={"application/vnd.jupyter.widget-state+json": {}},
    kernelspec={"display_name": "mine", "language": "python", "name": "mine"},
    language_info={"name": "python", "version": "3.11.2"},
)


def test_cleaning_strips_noise_and_keeps_static_outputs() -> None:
    nbformat.validate(DIRTY)
    nbformat.validate(CLEAN)
    assert clean_notebooks.clean(DIRTY) == CLEAN
    assert clean_notebooks.clean(CLEAN) == CLEAN


def test_a_widget_with_an_image_beside_it_keeps_the_image() -> None:
    both = WIDGET | {"data": WIDGET["data"] | PNG["data"]}
    assert clean_notebooks.clean_output(both) == PNG


def test_check_names_the_remedy_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(dirty := json.dumps(DIRTY), encoding="utf-8")
    assert clean_notebooks.main(["--check", str(path)]) == 1
    assert f"Run: python tools/clean_notebooks.py {path}" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == dirty

    assert clean_notebooks.main([str(path)]) == 0
    assert clean_notebooks.main(["--check", str(path)]) == 0
    cleaned = path.read_text(encoding="utf-8")
    assert json.loads(cleaned) == CLEAN
    # JupyterLab saves through nbformat: a save must not rewrite the file.
    assert cleaned == nbformat.writes(nbformat.reads(cleaned, as_version=4)) + "\n"


def test_committed_notebooks_are_clean_and_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert "widgets" not in content["metadata"], path.name
        nbformat.validate(content)
    assert clean_notebooks.main(["--check"]) == 0, capsys.readouterr().err


# --- README and CI -------------------------------------------------------------------------------


def command(name: str) -> str:
    """The one block of README.md that follows <!-- command: name -->."""
    (block,) = re.findall(rf"^<!-- command: {name} -->\n```sh\n(.*?)^```$", README, re.M | re.S)
    return block


FAST = "MACROKIT_SIZE=fast .venv/bin/pytest"
SPREAD = "-n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder"


@pytest.mark.parametrize(
    ("name", "extra", "last"),
    [
        ("start", "lab", ".venv/bin/macrokit lab"),
        ("demo", "lab", ".venv/bin/macrokit demo"),
        ("test", "test", f'{FAST} -m "not browser" {SPREAD}'),
    ],
)
def test_each_command_does_its_own_set_up(name: str, extra: str, last: str) -> None:
    steps = [step.strip() for step in command(name).split("&&")]
    set_up = ["python3 -m venv .venv", f'.venv/bin/pip install -q -e ".[{extra}]"']
    assert steps[:2] == set_up
    assert name != "test" or steps[-2] == f"{FAST} -m browser -n 2"  # together, all tests
    assert steps[-1] == last
    assert extra in PROJECT["optional-dependencies"]
    assert "macrokit" in PROJECT["scripts"]


def run_ci(folder: Path, block: str) -> subprocess.CompletedProcess[str]:
    """.ci/run in a folder whose README has `block` as its test command; Chromium is there."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    readme = README.replace(command("test"), block)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    (folder / "bin").mkdir()
    (folder / "bin" / "chromium").symlink_to(shutil.which("true"))
    env = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        [folder / ".ci" / "run"], cwd="/", env=env, capture_output=True, text=True
    )


def test_ci_runs_the_readme_command_last(tmp_path: Path) -> None:
    done = run_ci(tmp_path, "pwd &&\n  cat &&\n  echo 3 passed\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [str(tmp_path.resolve()), "3 passed"]


def test_ci_fails_with_the_readme_command(tmp_path: Path) -> None:
    assert run_ci(tmp_path, "exit 5\n").returncode == 5


def test_ci_fails_without_a_readme_command(tmp_path: Path) -> None:
    done = run_ci(tmp_path, "")
    assert done.returncode == 1
    assert "no block marked" in done.stderr


def test_readme_opens_the_binder_address_of_the_project() -> None:
    binder = PROJECT["urls"]["Binder"]
    assert re.findall(r"\((https://mybinder\.org/v2/[^)\s]*)\)", README) == [binder]
    assert (ROOT / urlparse(binder).query.removeprefix("urlpath=lab/tree/")).is_file()
    assert f"git clone {PROJECT['urls']['Repository']} " in command("clone")


def test_each_notebook_opens_itself_on_binder() -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        address = PROJECT["urls"]["Binder"].replace("00_start_here.ipynb", path.name)
        first_cell = nbformat.read(path, as_version=4).cells[0].source
        assert re.findall(r"https://mybinder\.org/v2/[^)\s]*", first_cell) == [address], path.name


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_commit_hooks_are_our_own() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    entries = {hook["entry"] for repo in config["repos"] for hook in repo["hooks"]}
    assert "python tools/clean_notebooks.py" in entries
