"""Running one cell of a table: buy, label, train an ensemble, roll out, record."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .. import estimators, macro
from .._optimiser import Cosine, start
from .._rollout import macro_model, test_errors
from .._sampling import Snapshots, make_design, sample, spread
from .._storage import hyperparameters, load, save
from .._training import stack, train
from .._types import Key, Keys
from ..estimators import Labels, label
from ._data import Benchmark, prefix
from ._settings import Cell

# Called with (steps done, steps, seconds left).
Report = Callable[[int, int, float], None]


def run_cell(
    benchmark: Benchmark,
    cell: Cell,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    save_every: float = 20.0,
    report: Report | None = None,
) -> dict[str, Any]:
    """One entry of `runs`: the settings, what was paid, and the test error of every seed.

    - `seed`: added to the cell's seeds. - `checkpoint`: a file to resume from and to keep; a run
      that was killed and resumed ends bit-equal to one that was not. - `save_every`: seconds.
    - `report`: called at every chunk.
    """
    begun = time.perf_counter()
    bought = [buy(benchmark, cell, seed + s) for s in cell.seeds]
    estimator = estimators.TABLE[cell.estimator]()
    unit = 1.0 if cell.metric == "unit" else None
    labels = [label(estimator, benchmark.closure, x, spread=unit) for x in bought]
    models, keys = new_models(cell, labels, [seed + s for s in cell.seeds])
    state = start(
        models,
        Cosine(cell.learning_rate, cell.steps),
        key=keys,
        members=len(labels),
        optimiser=cell.optimiser,
    )
    spent = 0.0
    if checkpoint is not None and checkpoint.exists():
        state = load(checkpoint, like=state)
        spent = hyperparameters(checkpoint)["seconds"]
    every = max(100, min(1000, cell.steps // 20))
    saved = time.perf_counter()
    for progress in train(state, stack(labels), steps=cell.steps, every=every, batch=cell.batch):
        state = progress.state
        if report is not None:
            report(progress.step, progress.steps, progress.seconds_left)
        if checkpoint is not None and time.perf_counter() - saved > save_every:
            saved = time.perf_counter()
            save(checkpoint, state, {"seconds": spent + saved - begun})
    held_out = {"test": benchmark.test_set, "validation": benchmark.validation_set}
    errors = test_errors(state.model, held_out[cell.judged_on])
    seconds = spent + time.perf_counter() - begun
    return summary(benchmark, cell, bought, errors, seconds, seed)


def buy(benchmark: Benchmark, cell: Cell, seed: int) -> Snapshots:
    """The snapshots of one seed: states, sites, and the forces on them."""
    snapshot_key, site_key = jax.random.split(_seed_key(seed, 0))
    count = cell.snapshots(benchmark.system.num_sites)
    if cell.order == "prefix":
        x = prefix(benchmark.training, count)
    else:
        x = spread(benchmark.training, count, key=snapshot_key)
    design = make_design(cell.design, benchmark.closure)
    return sample(benchmark.system, x, fraction=cell.fraction, design=design, key=site_key)


def new_models(cell: Cell, labels: list[Labels], seeds: list[int]) -> tuple[eqx.Module, Keys]:
    """An untrained ensemble, one network and one batch key per seed."""
    field = macro.TABLE[cell.model]
    scaling = macro.SCALINGS[cell.scaling]
    dim = labels[0].z.shape[-1]
    models = [
        macro_model(field(dim, key=_seed_key(seed, 1)), data, scaling)
        for seed, data in zip(seeds, labels, strict=True)
    ]
    return stack(models), jax.numpy.stack([_seed_key(seed, 2) for seed in seeds])


def summary(
    benchmark: Benchmark,
    cell: Cell,
    bought: list[Snapshots],
    errors: np.ndarray,
    seconds: float,
    seed: int = 0,
) -> dict[str, Any]:
    """The recorded object; a diverged network has error None and is counted, not left out."""
    finite = bool(np.isfinite(errors).all())
    return {
        "system": benchmark.name,
        "model": cell.model,
        "estimator": cell.estimator,
        "design": cell.design,
        "loss": cell.loss,
        "fraction": cell.fraction,
        "forces_training": max(snapshots.forces for snapshots in bought),
        "forces_trajectories": benchmark.training.forces,
        "seeds": [seed + s for s in cell.seeds],
        "steps": cell.steps,
        "scaling": cell.scaling,
        "order": cell.order,
        "optimiser": cell.optimiser,
        "metric": cell.metric,
        "closure": cell.closure,
        "closure_seed": cell.closure_seed,
        "lift_defect": benchmark.lift_defect,
        "judged_on": cell.judged_on,
        "errors": [float(e) if np.isfinite(e) else None for e in errors],
        "error_mean": float(errors.mean()) if finite else None,
        "error_median": float(np.median(errors)) if np.isfinite(np.median(errors)) else None,
        "error_std": float(errors.std()) if finite else None,
        "diverged": int((~np.isfinite(errors)).sum()),
        "seconds": round(seconds, 2),
    }


def _seed_key(seed: int, purpose: int) -> Key:
    return jax.random.fold_in(jax.random.key(seed), purpose)
