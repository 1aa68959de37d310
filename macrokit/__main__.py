"""The command line: `macrokit demo`, `lab`, `reproduce`, `released`, `assets`."""

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence

from . import __version__, experiments


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, and turn bad input into one line on standard error."""
    parser = _parser()
    chosen, others = parser.parse_known_args(arguments)
    if others and chosen.run is not _lab:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    chosen.others = others
    try:
        return chosen.run(chosen)
    except ValueError as error:
        print(f"macrokit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nmacrokit: stopped; `reproduce` resumes when it is started again", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="macrokit", description=experiments.__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="full against partial forces on predator–prey")
    demo.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    demo.add_argument("--seed", type=int, default=0, help="added to every seed")
    demo.add_argument("--steps", type=int, default=experiments.STEPS, help="optimiser steps")
    demo.set_defaults(run=_demo)

    lab = commands.add_parser(
        "lab",
        help="open JupyterLab at the start page",
        epilog="Any other option is passed on to jupyter lab, for example --no-browser.",
    )
    lab.set_defaults(run=_lab)

    reproduce = commands.add_parser(
        "reproduce", help="run an experiment of the paper and record it"
    )
    names = sorted({name for name, _, _ in experiments.EXPERIMENTS})
    reproduce.add_argument(
        "name", nargs="?", help=f"{', '.join(names)}, or all; without one, a list"
    )
    reproduce.add_argument("--full", action="store_true", help="full size (small without it)")
    reproduce.add_argument(
        "--protocol", choices=("fair", "published"), help="fair by default; of all, both"
    )
    reproduce.add_argument("--fresh", action="store_true", help="forget an interrupted run")
    reproduce.set_defaults(run=_reproduce)

    released = commands.add_parser(
        "released",
        help="judge the networks that the paper's authors released",
        epilog="MACROKIT_RELEASED names a checkout of their code with its checkpoints.",
    )
    released.set_defaults(run=_released)

    assets = commands.add_parser("assets", help="make the closure and data that ship")
    assets.set_defaults(run=_assets)
    return parser


def _demo(chosen: argparse.Namespace) -> int:
    if chosen.steps < 1:
        raise ValueError(f"--steps must be at least 1, but got {chosen.steps}.")
    experiments.demo(seed=chosen.seed, as_json=chosen.json, steps=chosen.steps)
    return 0


def _lab(chosen: argparse.Namespace) -> int:
    if importlib.util.find_spec("jupyterlab") is None:
        raise ValueError('JupyterLab is not installed. Run `pip install -e ".[lab]"`.')
    notebooks = experiments.results_folder().parent
    page = notebooks / "00_start_here.ipynb"
    if not page.exists():
        raise ValueError(f"{page} does not exist. Run this from a checkout of macrokit.")
    root = notebooks.parent
    # Not `jupyter lab`, which takes the first jupyter-lab on the PATH: another environment's.
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container; Jupyter refuses otherwise
        command.append("--ServerApp.allow_root=True")
    command.append(f"--LabApp.default_url=/lab/tree/{page.relative_to(root)}")
    return subprocess.run([*command, *chosen.others], check=False).returncode


def _reproduce(chosen: argparse.Namespace) -> int:
    if chosen.name is None:
        print(experiments.overview())
        return 0
    options = {"full": chosen.full, "fresh": chosen.fresh}
    if chosen.name == "all":
        records = experiments.reproduce_all(protocol=chosen.protocol, **options)
    else:
        protocol = chosen.protocol or "fair"
        records = [experiments.reproduce(chosen.name, protocol=protocol, **options)]
    for path in records:
        print(experiments.table(experiments.read_results(path.stem)["runs"]))
        print(f"Recorded in {path}")
    return 0


def _released(chosen: argparse.Namespace) -> int:
    print(experiments.released_table(experiments.released_errors()))
    return 0


def _assets(chosen: argparse.Namespace) -> int:
    for path in experiments.make_assets():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
