"""`macrokit demo`: the main job without a browser."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import tqdm

from ._cells import run_cell
from ._data import predator_prey
from ._settings import Cell
from ._table import table

FORCES = 60_000
SEEDS = (0, 1, 2, 3)
STEPS = 20_000


def demo(
    *,
    seed: int = 0,
    as_json: bool = False,
    steps: int = STEPS,
    seeds: tuple[int, ...] = SEEDS,
    html: Path = Path("macrokit-demo.html"),
) -> list[dict[str, Any]]:
    """Full against partial forces on predator–prey: equal forces, equal steps, equal coverage.

    - `seed`: added to every seed. - `as_json`: print one JSON object and nothing else on standard
      output. - `html`: where the plots go (needs plotly).
    """
    cells = [
        Cell("exact", 1.0, FORCES, steps, seeds),
        Cell("lifted", 0.2, FORCES, steps, seeds),
    ]
    total = steps * len(cells)
    with tqdm.tqdm(total=total, unit="step", file=sys.stderr, desc="simulating") as bar:
        benchmark = predator_prey()
        runs = []
        for number, cell in enumerate(cells):
            bar.set_description(
                f"learning from {'all' if cell.fraction == 1 else '1/5 of the'} forces"
            )

            def report(step: int, *_: Any, done: int = number * steps) -> None:
                bar.update(done + step - bar.n)

            runs.append(run_cell(benchmark, cell, seed=seed, report=report))
    if as_json:
        print(json.dumps({"runs": runs}))
        return runs
    print(table(runs))
    if importlib.util.find_spec("plotly") is None:
        print('For the plots, install plotly: pip install -e ".[lab]"')
        return runs
    from .. import plots

    figure = plots.demo_figure(runs)
    html.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")
    print(f"Plots: {html}")
    return runs
