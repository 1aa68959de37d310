"""What the gauge expects of the cells of a table before any of them is trained."""

from collections.abc import Sequence

import jax

from .._gauge import diagnose
from .._sampling import make_design, spread
from ._data import Benchmark
from ._settings import Cell

_PILOT = 50  # states whose forces are all computed


def predictions(benchmark: Benchmark, cells: Sequence[Cell]) -> list[float]:
    """(δ + ν(s))/snapshots of each cell: the variance of a label about the dynamics that z can
    tell, as a share of Var y and averaged over the macroscopic variables, over the number of labels
    that the cell's forces pay for.

    From one pilot of 50 states; no cell is trained, and nothing of a trained one is known here.
    """
    pilot = spread(benchmark.training, _PILOT, key=jax.random.key(0))
    total = benchmark.system.num_sites
    diagnoses = {}
    for closure in dict.fromkeys((c.closure, c.closure_seed) for c in cells):
        mine = [c for c in cells if (c.closure, c.closure_seed) == closure]
        encoder = benchmark.with_closure(*closure).closure
        diagnoses[closure] = diagnose(
            benchmark.system,
            encoder,
            pilot,
            candidates={c.design: make_design(c.design, encoder) for c in mine},
            fraction=mine[0].fraction,
            numbers=sorted({c.drawn(total) for c in mine}),
        )
    return [
        diagnoses[c.closure, c.closure_seed].uncertainty(c.estimator, c.design, c.drawn(total))
        / c.snapshots(total)
        for c in cells
    ]
