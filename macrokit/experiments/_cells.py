"""Running one cell of a table: buy, label, train an ensemble, roll out, record."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import tqdm
from jaxtyping import Int

from .. import estimators, macro
from .._optimiser import Cosine, start
from .._parallel import in_threads
from .._rollout import macro_model, standardisation, test_errors
from .._sampling import Snapshots, make_design, run_and_time, sample, spread_indices
from .._storage import hyperparameters, load, save
from .._training import stack, train
from .._types import Key, Keys
from ..estimators import Labels, joined, label
from ._data import Benchmark
from ._settings import Cell

# Called with (steps done, steps, seconds left).
Report = Callable[[int, int, float], None]

# Of states in memory at a time.
_NUMBERS = 1 << 24


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
    seeds = [seed + s for s in cell.seeds]
    count = cell.snapshots(benchmark.system.num_sites) * len(seeds)
    with tqdm.tqdm(
        total=count, desc="buying forces", unit="snapshot", disable=report is None, leave=False
    ) as bar:
        bought = labelled(benchmark, cell, seeds, bar.update)
    labels, forces = zip(*bought, strict=True)
    del bought
    models, keys = new_models(cell, labels, seeds)
    state = start(
        models,
        Cosine(cell.learning_rate, cell.steps),
        key=keys,
        members=len(labels),
        optimiser=cell.optimiser,
    )
    data = stack(labels)
    del labels
    held_out = {"test": "test_set", "validation": "validation_set"}[cell.judged_on]
    taken = {"labels": time.perf_counter() - begun, "training": 0.0, "roll-out": 0.0}
    curve: list[dict[str, Any]] = []
    if checkpoint is not None and checkpoint.exists():
        state = load(checkpoint, like=state)
        said = hyperparameters(checkpoint)
        curve, before = said["curve"], said["seconds"]
        taken |= {part: before[part] for part in ("training", "roll-out")}
        taken["labels"] += before["labels"]

    def judge() -> np.ndarray:
        started = time.perf_counter()
        errors = test_errors(state.model, getattr(benchmark, held_out))
        taken["roll-out"] += time.perf_counter() - started
        return errors

    every = max(100, min(1000, cell.steps // 20))
    saved = since = time.perf_counter()
    for progress in train(
        state,
        data,
        steps=cell.steps,
        every=every,
        batch=cell.batch,
        noise=cell.noise,
        restoring=cell.restoring,
    ):
        state = progress.state
        now = time.perf_counter()
        taken["training"] += now - since
        if report is not None:
            report(progress.step, progress.steps, progress.seconds_left)
        if cell.curve and progress.step >= (len(curve) + 1) * cell.steps / cell.curve:
            curve.append({"step": progress.step, "errors": _plain(judge())})
        if checkpoint is not None and now - saved > save_every:
            saved = now
            save(checkpoint, state, {"seconds": taken, "curve": curve})
        since = time.perf_counter()
    errors = judge()
    return summary(benchmark, cell, max(forces), errors, taken, seed, curve)


def chosen(
    benchmark: Benchmark, cell: Cell, seed: int
) -> tuple[Int[np.ndarray, " snapshots"], Int[np.ndarray, " snapshots"], Keys]:
    """Run and time of each snapshot of one seed, and the key that draws its sites."""
    snapshot_key, site_key = jax.random.split(_seed_key(seed, 0))
    count = cell.snapshots(benchmark.system.num_sites)
    lengths = benchmark.training.lengths
    if cell.order == "prefix":
        run, time = run_and_time(lengths, np.arange(count))
    else:
        run, time = spread_indices(lengths, count, key=snapshot_key)
    return run, time, jax.random.split(site_key, count)


def buy(
    benchmark: Benchmark, cell: Cell, run: np.ndarray, time: np.ndarray, keys: Keys
) -> Snapshots:
    """The chosen states, their sites, and the forces on them."""
    x = benchmark.training.take(run, time)
    design = make_design(cell.design, benchmark.closure)
    return sample(benchmark.system, x, fraction=cell.fraction, design=design, key=keys)


def labelled(
    benchmark: Benchmark,
    cell: Cell,
    seeds: Sequence[int],
    report: Callable[[int], Any] = lambda _: None,
) -> list[tuple[Labels, int]]:
    """The labels of each seed, and what they cost in forces. `report`: told of snapshots done.

    What the cell before has bought is not bought again, where it is the first part of this: by the
    same estimator and design, but fewer snapshots.
    """
    kind = (cell.estimator, cell.design, cell.fraction, cell.order, benchmark.closure_name, *seeds)
    count = cell.snapshots(benchmark.system.num_sites)
    held = benchmark.bought.pop(kind, [])
    benchmark.bought.clear()  # of other kinds
    first = min(count, len(held[0][1])) if held else 0
    report(first * len(seeds))
    if first < count:
        new = _bought(benchmark, cell, seeds, first, report)
        held = [_longer(own, more) for own, more in zip(held, new, strict=True)] if held else new
    benchmark.bought[kind] = held
    every = np.arange(count)
    observables = len(benchmark.system.observable_names)
    return [
        (_weighed(own[every], cell, observables), int(distinct[:count].sum()))
        for own, distinct in held
    ]


# Of one seed: its labels in the metric W = 1, and the forces that each snapshot cost.
Bought = tuple[Labels, Int[np.ndarray, " _"]]


def _longer(held: Bought, new: Bought) -> Bought:
    return joined([held[0], new[0]]), np.concatenate([held[1], new[1]])


def _bought(
    benchmark: Benchmark, cell: Cell, seeds: Sequence[int], first: int, report: Callable[[int], Any]
) -> list[Bought]:
    """What each seed buys from its snapshot number `first` on.

    In blocks that fit in memory, run after run for all seeds together, so that each run is read
    from disk once. Nothing depends on the blocks.
    """
    estimator = estimators.TABLE[cell.estimator]()
    chosen_by = [[part[first:] for part in chosen(benchmark, cell, seed)] for seed in seeds]
    run, time, keys = zip(*chosen_by, strict=True)
    run, time, keys = np.concatenate(run), np.concatenate(time), jax.numpy.concatenate(keys)
    order = np.lexsort((time, run))

    def work(mine: np.ndarray) -> Bought:
        snapshots = buy(benchmark, cell, run[mine], time[mine], keys[mine])
        labels = label(estimator, benchmark.closure, snapshots, spread=1.0)
        report(len(mine))
        return labels, snapshots.distinct

    size = max(1, _NUMBERS // (benchmark.system.num_sites * benchmark.system.num_channels))
    blocks = [order[begin : begin + size] for begin in range(0, len(order), size)]
    # The first alone: it compiles for the others.
    parts = [work(blocks[0]), *in_threads(work, blocks[1:])]
    back = np.argsort(order).reshape(len(seeds), -1)
    labels, distinct = joined([part for part, _ in parts]), np.concatenate([d for _, d in parts])
    return [(labels[own], distinct[own]) for own in back]


def _weighed(labels: Labels, cell: Cell, observables: int) -> Labels:
    """In the metric of the cell; that of the lifted estimator is its own."""
    if cell.estimator == "lifted":
        return labels
    if cell.metric == "unit":
        metric = np.ones(labels.z.shape[-1])
        metric[:observables] = cell.observable_weight
        return labels.weighed(metric)
    _, spread, mean_rate, rate = standardisation(labels)
    unit = {"spread": spread, "rate": jax.numpy.hypot(mean_rate, rate)}[cell.metric]
    return labels.weighed(1 / unit**2)


def new_models(cell: Cell, labels: Sequence[Labels], seeds: list[int]) -> tuple[eqx.Module, Keys]:
    """An untrained ensemble, one network and one batch key per seed."""
    scaling = macro.SCALINGS[cell.scaling]
    dim = labels[0].z.shape[-1]

    def field(seed: int) -> macro.AbstractMacro:
        key = _seed_key(seed, 1)
        return macro.build(cell.model, dim, cell.width, cell.depth, leading=cell.leading, key=key)

    pairs = zip(seeds, labels, strict=True)
    models = [macro_model(field(seed), data, scaling) for seed, data in pairs]
    return stack(models), jax.numpy.stack([_seed_key(seed, 2) for seed in seeds])


def summary(
    benchmark: Benchmark,
    cell: Cell,
    forces: int,
    errors: np.ndarray,
    seconds: dict[str, float],
    seed: int = 0,
    curve: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The recorded object; a diverged network has error None and is counted, not left out.

    - `seconds`: part → how long it took. - `curve`: of errors in training, where the cell asks it.
    """
    finite = bool(np.isfinite(errors).all())
    return {
        "system": benchmark.name,
        "sites": benchmark.system.num_sites,
        "model": cell.model,
        "estimator": cell.estimator,
        "design": cell.design,
        "loss": cell.loss,
        "fraction": cell.fraction,
        "forces_training": forces,
        "forces_drawn": cell.forces,
        "forces_trajectories": benchmark.training.forces,
        "seeds": [seed + s for s in cell.seeds],
        "steps": cell.steps,
        "scaling": cell.scaling,
        "order": cell.order,
        "optimiser": cell.optimiser,
        "batch": cell.batch,
        "width": cell.width,
        "depth": cell.depth,
        "leading": cell.leading,
        "noise": cell.noise,
        "restoring": cell.restoring,
        "metric": cell.metric,
        "observable_weight": cell.observable_weight,
        "closure": cell.closure,
        "closure_seed": cell.closure_seed,
        "lift_defect": benchmark.lift_defect,
        "judged_on": cell.judged_on,
        "errors": _plain(errors),
        "error_mean": float(errors.mean()) if finite else None,
        "error_median": float(np.median(errors)) if np.isfinite(np.median(errors)) else None,
        "error_std": float(errors.std()) if finite else None,
        "diverged": int((~np.isfinite(errors)).sum()),
        "seconds": round(sum(seconds.values()), 2),
        "seconds_of": {part: round(value, 2) for part, value in seconds.items()},
    } | ({"curve": list(curve)} if curve else {})


def _plain(errors: np.ndarray) -> list[float | None]:
    return [float(e) if np.isfinite(e) else None for e in errors]


def _seed_key(seed: int, purpose: int) -> Key:
    return jax.random.fold_in(jax.random.key(seed), purpose)
