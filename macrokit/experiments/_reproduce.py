"""`macrokit reproduce`: run an experiment, resume it, record it."""

import dataclasses
import hashlib
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
from ._predictions import predictions
from ._settings import EXPERIMENTS, Cell, Experiment

_BENCHMARKS = {
    "predator-prey": predator_prey,
    "allen-cahn": allen_cahn,
    "lennard-jones": lennard_jones,
}
_PACKAGES = ("macrokit", "jax", "equinox", "optax", "diffrax", "numpy")


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
        "versions": {package: version(package) for package in _PACKAGES},
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
    benchmark: Benchmark | None = None
    runs = []
    for cell in experiment.cells:
        stem = work / _fingerprint(cell)
        finished = stem.with_suffix(".json")
        if not finished.exists():
            # Data are made from a seed: cheaper to make again than to keep.
            benchmark = (benchmark or _benchmark(experiment)).with_closure(
                cell.closure, cell.closure_seed
            )
            run = _run_one(benchmark, cell, stem.with_suffix(".checkpoint"))
            write_whole(finished, json.dumps(run).encode())
            stem.with_suffix(".checkpoint").unlink(missing_ok=True)
        runs.append(json.loads(finished.read_text(encoding="utf-8")))
    expected = predictions(benchmark or _benchmark(experiment), experiment.cells)
    return [run | {"predicted": p} for run, p in zip(runs, expected, strict=True)]


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


def _benchmark(experiment: Experiment) -> Benchmark:
    build = _BENCHMARKS[experiment.system]
    return build(experiment.trajectories, experiment.test_trajectories, **experiment.data)


def _fingerprint(settings: Any) -> str:
    text = json.dumps(dataclasses.asdict(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
