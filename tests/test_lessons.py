"""Notebooks as lessons, and the pages they link to: nothing is run here."""

import functools
import json
import re
from pathlib import Path

import clean_notebooks
import nbformat
import pytest

import macrokit as mk

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NO_LESSONS = {"06_dashboard.ipynb"}  # a panel to work with
LESSONS = [path for path in NOTEBOOKS if path.name not in NO_LESSONS]
START = ROOT / "notebooks" / "00_start_here.ipynb"
GLOSSARY, TEACHING = (ROOT / "docs" / name for name in ("glossary.md", "teaching.md"))
IMAGE = clean_notebooks.IMAGE

lessons = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
pages = pytest.mark.parametrize("path", [*NOTEBOOKS, GLOSSARY, TEACHING], ids=lambda p: p.stem)


def read(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def markdown(path: Path) -> str:
    """The prose of a notebook or of a page."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(source(c) for c in read(path) if c["cell_type"] == "markdown")


def printed(path: Path) -> str:
    """What the stored outputs of a notebook say in text."""
    outputs = [output for cell in read(path) for output in cell.get("outputs", [])]
    return "".join("".join(output.get("text", [])) for output in outputs)


# --- what a lesson has ---------------------------------------------------------------------------

PREDICTION = re.compile(r"^\*\*Predict\.\*\* .*\?", re.M)
SOLUTION = re.compile(r"<details><summary>Solution</summary>.+?</details>", re.S)
PARTS = {
    "goals": lambda cells: "**You will** " in source(cells[0]),
    "time": lambda cells: re.search(r"\*\*Time\*\*: .*minute.* two cores", source(cells[0])),
    "Binder": lambda cells: "](https://mybinder.org/v2/" in source(cells[0]),
    "prediction": lambda cells: PREDICTION.search(prose(cells)),
    "exercises": lambda cells: re.search(r"^(## |\*\*)(More e|E)xercises", prose(cells), re.M),
    "solutions": lambda cells: len(SOLUTION.findall(prose(cells))) >= 2,
    "equations": lambda cells: re.search(r"\beqs?\. \d+", prose(cells)),
    "glossary": lambda cells: len(glossary_links(prose(cells))) >= 8,
}


def prose(cells: list[dict]) -> str:
    return "\n\n".join(source(cell) for cell in cells if cell["cell_type"] == "markdown")


def glossary_links(text: str) -> list[str]:
    return re.findall(r"\]\(\.\./docs/glossary\.md#([^)]+)\)", text)


@lessons
@pytest.mark.parametrize("part", PARTS)
def test_every_lesson_has(path: Path, part: str) -> None:
    assert PARTS[part](read(path))


@pytest.mark.parametrize("part", PARTS)
def test_a_notebook_that_is_no_lesson_lacks(part: str) -> None:
    plain = "# A title\n\nWhat you predict, in time. <details>An exercise</details> (section 3)"
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": [plain]}
    assert not PARTS[part]([cell])


@notebooks
def test_predictions_come_before_what_they_ask_for(path: Path) -> None:
    cells = read(path)
    assert not re.search(r"(?i)\*predict(?!\.\*\*)", markdown(path))  # one mark for all
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "markdown" or not re.search(r"^\*\*Predict\.", source(cell), re.M):
            continue
        assert len(PREDICTION.findall(source(cell))) == 1, cell["id"]  # and it is a question
        assert cells[number + 1]["cell_type"] == "code", cell["id"]
        after = [c for c in cells[number + 1 :] if c["cell_type"] == "markdown"]
        assert after, f"{cell['id']} is never answered"


@lessons
def test_each_term_is_linked_once(path: Path) -> None:
    links = glossary_links(markdown(path))
    assert len(links) == len(set(links))


@lessons
def test_outcomes_are_what_the_outputs_say(path: Path) -> None:
    """Rendered again with other results, the prose must follow."""
    told = [source(cell) for cell in read(path) if cell["id"].startswith("outcome-")]
    assert told
    assert unsaid("\n".join(told), printed(path)) == []


def unsaid(text: str, outputs: str) -> list[str]:
    """Numbers like 4.5e-4 and 0.0019 of `text` that no output says."""
    numbers = re.findall(r"\b\d(?:\.\d+)?e-\d+\b|\b0\.0\d+\b", text)
    return [n for n in numbers if re.sub(r"e-(\d)$", r"e-0\1", n) not in outputs]


def test_a_number_that_no_output_says_is_found() -> None:
    assert unsaid("4.5e-4, 0.0019 and 7.7e-3", "4.5e-04, eta = 0.0019") == ["7.7e-3"]


# --- where a reader goes -------------------------------------------------------------------------


def test_the_start_page_routes_three_kinds_of_reader() -> None:
    (table,) = (source(c) for c in read(START) if "## Three kinds of reader" in source(c))
    for reader in ("student", "teacher", "researcher"):
        (row,) = re.findall(rf"^\| an? \*\*{reader}\*\*.*$", table, re.M)
        assert re.search(r"\]\([\w./]+\)", row), f"{reader}: nowhere to go"
    assert "**The ten-minute path.**" in table
    assert "](../docs/teaching.md)" in table
    for path in LESSONS:
        assert path == START or f"]({path.name})" in markdown(START), path.name


def slug(heading: str) -> str:
    """The anchor of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> list[str]:
    return [slug(heading) for heading in re.findall(r"^#+ (.+)$", markdown(path), re.M)]


@pages
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", markdown(path)):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_glossary_has_each_term_once_with_ascii_anchors() -> None:
    terms = anchors(GLOSSARY)
    assert len(terms) == len(set(terms))
    assert all(term.isascii() for term in terms)  # generators differ about other letters


@pytest.mark.parametrize("path", [GLOSSARY, TEACHING], ids=lambda path: path.stem)
def test_names_of_the_package_exist(path: Path) -> None:
    names = set(re.findall(r"`mk\.([\w.]+)", markdown(path)))
    names |= {name.rstrip(".") for name in re.findall(r"\bmk\.([\w.]*\w)\(", markdown(path))}
    for name in names:
        assert functools.reduce(getattr, name.split("."), mk), name


def test_the_teachers_page_quotes_the_notebooks() -> None:
    outputs = "".join(printed(path) for path in LESSONS)
    assert unsaid(TEACHING.read_text(encoding="utf-8"), outputs) == []
    for text in ("90 minutes", "45 minutes", "JupyterHub", "without a network", "MACROKIT_SIZE"):
        assert text in markdown(TEACHING)


# --- figures in words ----------------------------------------------------------------------------


def images(cell: dict) -> list[dict]:
    return [output for output in cell.get("outputs", []) if IMAGE in output.get("data", {})]


@notebooks
def test_every_stored_image_has_an_alt_text(path: Path) -> None:
    for cell in read(path):
        if not images(cell):
            continue
        (image,) = images(cell)  # one a cell, or one text would not do
        alt = cell["metadata"].get("alt", "")
        assert len(alt.split()) >= 10, f"{cell['id']}: say in its metadata, `alt`, what one sees"
        assert image["metadata"][IMAGE]["alt"] == alt, cell["id"]
        assert image["data"]["text/plain"] == [alt], cell["id"]


@notebooks
def test_every_stored_figure_has_an_image(path: Path) -> None:
    """For who reads it where plotly does not run; executing a notebook alone leaves none."""
    for cell in read(path):
        for output in cell.get("outputs", []):
            if "application/vnd.plotly.v1+json" in output.get("data", {}):
                assert IMAGE in output["data"], f"{cell['id']}: run tools/render_notebooks.py"


def test_cleaning_puts_the_alt_text_beside_a_new_image() -> None:
    """As after `tools/render_notebooks.py`, which knows nothing of it."""
    new = {"output_type": "display_data", "metadata": {}, "data": {IMAGE: "iVBORw0="}}
    text = {"output_type": "stream", "name": "stdout", "text": ["1"]}
    cell = nbformat.v4.new_code_cell("f()", metadata={"alt": "A line."}, outputs=[text, new])
    cleaned = clean_notebooks.clean_cell(cell)
    assert cleaned["outputs"] == [
        text,
        new
        | {"metadata": {IMAGE: {"alt": "A line."}}}
        | {"data": {IMAGE: "iVBORw0=", "text/plain": ["A line."]}},
    ]
    assert clean_notebooks.clean_cell(cleaned) == cleaned
    assert "alt" in clean_notebooks.clean_cell(cleaned)["metadata"]
