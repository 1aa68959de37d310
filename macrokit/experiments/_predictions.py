"""What the gauge expects of the cells of a table before any of them is trained."""

from collections.abc import Sequence

import jax
import numpy as np

from .._gauge import diagnose
from .._sampling import make_design, spread
from .._timing import snapshot_seconds
from ._data import Benchmark
from ._settings import Cell

_PILOT = 50  # states whose forces are all computed


def predictions(benchmark: Benchmark, cells: Sequence[Cell]) -> list[float]:
    """(δ + ν(s))/snapshots of each cell: the variance of a label about the dynamics that z can
    tell, as a share of Var y and averaged over the macroscopic variables (the leading ones, where
    they drive the others), over the number of labels that the cell's forces pay for.

    From one pilot of 50 states; no cell is trained, and nothing of a trained one is known here.
    """
    pilot = spread(benchmark.training, _PILOT, key=jax.random.key(0))
    total = benchmark.system.num_sites
    diagnoses = {}
    for kind in dict.fromkeys(map(_kind, cells)):
        mine = [c for c in cells if _kind(c) == kind]
        *closure, leading = kind
        encoder = benchmark.with_closure(*closure).closure
        diagnoses[kind] = diagnose(
            benchmark.system,
            encoder,
            pilot,
            candidates={c.design: make_design(c.design, encoder) for c in mine},
            fraction=mine[0].fraction,
            numbers=sorted({c.drawn(total) for c in mine}),
            leading=leading,
        )
    return [
        diagnoses[_kind(c)].uncertainty(c.estimator, c.design, c.drawn(total)) / c.snapshots(total)
        for c in cells
    ]


def _kind(cell: Cell) -> tuple[str, int, int | None]:
    """What one diagnosis serves."""
    return cell.closure, cell.closure_seed, cell.leading


def costs(benchmark: Benchmark, cells: Sequence[Cell]) -> list[dict[str, float]]:
    """Measured seconds of one snapshot of each cell, part by part; see `snapshot_seconds`."""
    x = spread(benchmark.training, 1, key=jax.random.key(0))[0]
    total = benchmark.system.num_sites
    measured = {}
    for cell in cells:
        number = cell.drawn(total)
        if number not in measured:
            sites = np.arange(total)[:: total // number][:number]
            closure = benchmark.with_closure(cell.closure, cell.closure_seed).closure
            measured[number] = snapshot_seconds(benchmark.system, closure, x, sites)
    return [measured[cell.drawn(total)] for cell in cells]
