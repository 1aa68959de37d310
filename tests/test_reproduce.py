"""`reproduce`: what is recorded, what is resumed, and what is forgotten."""

import dataclasses
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
from catalogue import benchmark
from test_cells import CELL, KEYS, without_seconds

import macrokit as mk
from macrokit.experiments import (
    EXPERIMENTS,
    PUBLISHED,
    TITLES,
    Cell,
    Experiment,
    _closures,
    _data,
    _reproduce,
    read_results,
    reproduce,
    reproduce_all,
)

# Real cells, the smaller of which only differ in the batches they draw.
CELLS = (CELL, dataclasses.replace(CELL, seeds=(2, 3)), dataclasses.replace(CELL, seeds=(4, 5)))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place for records, and an experiment called tiny."""
    tiny = Experiment("predator-prey", CELLS, trajectories=8, test_trajectories=4)
    for protocol, size in [("fair", "small"), ("fair", "full"), ("published", "small")]:
        monkeypatch.setitem(EXPERIMENTS, ("tiny", protocol, size), tiny)
    monkeypatch.setitem(_reproduce._BENCHMARKS, "predator-prey", lambda *_: benchmark())
    monkeypatch.setattr(_reproduce, "results_folder", lambda: tmp_path)
    return tmp_path


class Machine:
    """Runs cells in no time, notes which, and may be killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.ran, self.kill_at = [], None
        monkeypatch.setattr(_reproduce, "run_cell", self)
        monkeypatch.setattr(
            _reproduce, "predictions", lambda _, cells: [1e-6 * c.seeds[0] for c in cells]
        )

    def __call__(self, data, cell, *, checkpoint, report) -> dict:
        if self.kill_at == cell.seeds[0]:
            checkpoint.write_text("half a run")
            raise KeyboardInterrupt
        self.ran.append((cell.seeds[0], checkpoint.exists()))
        report(cell.steps, cell.steps, 0.0)
        taken = {"seconds": 1.5, "seconds_of": {"training": 1.5}}
        return {"seeds": list(cell.seeds), "trajectories": len(data.training)} | taken


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_record(folder: Path, machine: Machine) -> None:
    path = reproduce("tiny")
    record = json.loads(path.read_text())
    assert record.keys() == {"command", "versions", "device", "seconds", "runs"}
    assert record["command"] == "macrokit reproduce tiny"
    assert record["versions"].keys() >= {"macrokit", "jax", "equinox", "optax", "diffrax", "numpy"}
    assert record["versions"]["macrokit"] == mk.__version__
    assert f"{len(os.sched_getaffinity(0))} core" in record["device"]
    assert record["seconds"] == 4.5
    for run in record["runs"]:
        assert run["seconds_of"].keys() == {"data", "closure", "training"}
    assert [run["seeds"] for run in record["runs"]] == [[0, 1], [2, 3], [4, 5]]
    assert [run["predicted"] for run in record["runs"]] == [0, 2e-6, 4e-6]
    assert files(folder) == {"tiny-small.json"}  # nothing else is left
    assert read_results("tiny-small") == record


@pytest.mark.parametrize(
    ("settings", "file", "command"),
    [
        ({}, "tiny-small", "macrokit reproduce tiny"),
        ({"full": True}, "tiny-full", "macrokit reproduce tiny --full"),
        (
            {"protocol": "published"},
            "tiny-published-small",
            "macrokit reproduce tiny --protocol published",
        ),
    ],
)
def test_names(folder: Path, machine: Machine, settings: dict, file: str, command: str) -> None:
    path = reproduce("tiny", **settings)
    assert path == folder / f"{file}.json"
    assert json.loads(path.read_text())["command"] == command


def kill(machine: Machine, seed: int) -> None:
    machine.kill_at = seed
    with pytest.raises(KeyboardInterrupt):
        reproduce("tiny")
    machine.kill_at = None


def test_finished_cells_are_not_run_again(folder: Path, machine: Machine) -> None:
    kill(machine, 2)
    assert machine.ran == [(0, False)]
    assert not (folder / "tiny-small.json").exists()
    kill(machine, 4)
    assert machine.ran == [(0, False), (2, True)]  # from its checkpoint
    reproduce("tiny")
    assert machine.ran == [(0, False), (2, True), (4, True)]
    assert files(folder) == {"tiny-small.json"}


def anew(*_: int) -> mk.experiments.Benchmark:
    """Data that have made nothing yet, as each run begins with."""
    return dataclasses.replace(benchmark(), made={})


@pytest.fixture
def trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each closure took, the recipe `quick` among them, on data that are new."""
    steps, make = [], _data.make_closure

    def counted(recipe, *args, **settings) -> mk.Closure:
        steps.append(recipe.steps)
        return make(recipe, *args, **settings)

    monkeypatch.setitem(_closures.RECIPES, "quick", _closures.Recipe(steps=3))
    monkeypatch.setitem(_reproduce._BENCHMARKS, "predator-prey", anew)
    monkeypatch.setattr(_data, "make_closure", counted)
    return steps


def test_a_closure_is_trained_once(
    folder: Path, machine: Machine, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a run that is killed, and by the one that goes on."""
    cells = tuple(dataclasses.replace(cell, closure="quick", closure_seed=1) for cell in CELLS[:2])
    quick = Experiment("predator-prey", cells, trajectories=8, test_trajectories=4)
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), quick)

    seen = []
    monkeypatch.setattr(
        _reproduce,
        "predictions",
        lambda data, cells: seen.append(data.closure) or [0.0 for _ in cells],
    )

    kill(machine, 2)
    (file,) = folder.glob("unfinished/tiny-small-*/closure-quick-1-100.mk")
    kept = mk.load(file, like=anew().with_closure("quick", 1).closure)
    trained.clear()
    reproduce("tiny")
    assert trained == [0]
    for one, other in zip(*map(jax.tree.leaves, (kept, seen[0])), strict=True):
        np.testing.assert_array_equal(one, other)
    assert files(folder) == {"tiny-small.json"}


def test_the_gauge_takes_the_closures_that_were_kept(
    folder: Path, machine: Machine, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, also where it is reached by a run that trained none."""
    cells = tuple(dataclasses.replace(CELL, closure="quick", closure_seed=n) for n in (1, 2))
    quick = Experiment("predator-prey", cells, trajectories=8, test_trajectories=4)
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), quick)

    def killed(*_) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_reproduce, "predictions", killed)
        with pytest.raises(KeyboardInterrupt):
            reproduce("tiny")
    trained.clear()
    monkeypatch.setattr(
        _reproduce,
        "predictions",
        lambda data, cells: [data.with_closure("quick", n).closure and 0.0 for n in (1, 2)],
    )
    reproduce("tiny")
    assert trained == [0, 0]


def test_a_closure_is_kept_for_each_size(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_closures.RECIPES, "quick", _closures.Recipe(steps=0))
    cells = tuple(dataclasses.replace(CELL, closure="quick", atoms=n) for n in (6, 8))
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), Experiment("nodes", cells, 8, 4))

    def build(*_: int, atoms: int) -> mk.experiments.Benchmark:
        system = mk.systems.PredatorPrey(nodes=atoms)
        x = jax.vmap(lambda key: system.random_start(key=key))(
            jax.random.split(jax.random.key(0), 8)
        )
        runs = mk.simulate(system, x, duration=1, step=0.01, every=10)
        return mk.experiments.Benchmark("nodes", system, None, *[runs] * 3, closure_name=None)

    widths = []
    monkeypatch.setitem(_reproduce._BENCHMARKS, "nodes", build)
    monkeypatch.setattr(_reproduce, "costs", lambda data, cells: [{}])
    monkeypatch.setattr(
        _reproduce,
        "predictions",
        lambda data, cells: widths.append(data.closure.encoder.weight.shape[1]) or [0.0],
    )
    reproduce("tiny")
    assert widths == [12, 16]


def test_fresh_starts_anew(folder: Path, machine: Machine) -> None:
    kill(machine, 4)
    machine.ran.clear()
    reproduce("tiny", fresh=True)
    assert machine.ran == [(0, False), (2, False), (4, False)]


def test_a_record_is_not_resumed(folder: Path, machine: Machine) -> None:
    for _ in range(2):
        reproduce("tiny")
    assert [seed for seed, _ in machine.ran] == [0, 2, 4] * 2


def test_another_experiment_does_not_resume_this_one(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(machine, 4)
    machine.ran.clear()
    longer = tuple(dataclasses.replace(cell, steps=500) for cell in CELLS)
    changed = Experiment("predator-prey", longer, trajectories=8, test_trajectories=4)
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), changed)
    reproduce("tiny")
    assert machine.ran == [(0, False), (2, False), (4, False)]


def test_another_recipe_does_not_resume_this_one(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = tuple(dataclasses.replace(cell, closure="quick") for cell in CELLS)
    quick = Experiment("predator-prey", cells, trajectories=8, test_trajectories=4)
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), quick)
    monkeypatch.setitem(_closures.RECIPES, "quick", _closures.Recipe(steps=1))
    kill(machine, 4)
    machine.ran.clear()
    monkeypatch.setitem(_closures.RECIPES, "quick", _closures.Recipe(steps=2))
    reproduce("tiny")
    assert machine.ran == [(0, False), (2, False), (4, False)]


def test_defaults_count() -> None:
    """Who updates in the middle begins again where there are new settings, or new defaults."""
    new = dataclasses.make_dataclass("New", [("new", bool, False)], bases=(Cell,), frozen=True)
    after = new(**{f.name: getattr(CELL, f.name) for f in dataclasses.fields(CELL)})
    assert _reproduce._fingerprint(CELL) == _reproduce._fingerprint(dataclasses.replace(CELL))
    assert _reproduce._fingerprint(after) != _reproduce._fingerprint(CELL)


def test_a_record_that_changes_meanwhile_ends_nothing(folder: Path, machine: Machine) -> None:
    """Whoever updates the checkout while it runs gets an older record back, or none."""
    before = reproduce("tiny").read_bytes()
    machine.ran.clear()
    kill(machine, 2)
    in_no_time = machine.__call__

    def run(data, cell, **more) -> dict:
        (folder / "tiny-small.json").write_bytes(b"another one")
        return in_no_time(data, cell, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_reproduce, "run_cell", run)
        path = reproduce("tiny")
    assert machine.ran == [(0, False), (2, True), (4, False)]
    assert [r["seeds"] for r in json.loads(path.read_text())["runs"]] == [
        r["seeds"] for r in json.loads(before)["runs"]
    ]
    assert files(folder) == {"tiny-small.json"}


def test_a_record_names_all_its_makers(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_reproduce, "device", lambda: "an abacus")
    kill(machine, 4)
    monkeypatch.setattr(_reproduce, "device", lambda: "a slide rule")
    monkeypatch.setattr(_reproduce, "version", lambda package: f"{package} 2")
    record = json.loads(reproduce("tiny").read_text())
    assert record["device"] == "an abacus and a slide rule"
    assert record["versions"]["macrokit"] == f"{mk.__version__} and macrokit 2"


def test_two_at_once_share_the_cells(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each cell is run once, by whoever comes first; both end with the same record."""
    cells = tuple(dataclasses.replace(CELL, seeds=(2 * n, 2 * n + 1)) for n in range(6))
    many = Experiment("predator-prey", cells, trajectories=8, test_trajectories=4)
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), many)
    busy = threading.Barrier(2)
    in_no_time, workers = machine.__call__, {}

    def run(data, cell, **more) -> dict:
        workers.setdefault(threading.get_ident(), []).append(cell.seeds[0])
        if len(workers[threading.get_ident()]) == 1:
            busy.wait(60)  # both are at one before either goes on
        return in_no_time(data, cell, **more)

    monkeypatch.setattr(_reproduce, "run_cell", run)
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lambda _: reproduce("tiny"), range(2))
    assert ours == theirs
    assert len(workers) == 2
    assert sorted(seed for seed, _ in machine.ran) == [0, 2, 4, 6, 8, 10]
    record = json.loads(ours.read_text())
    assert [run["seeds"][0] for run in record["runs"]] == [0, 2, 4, 6, 8, 10]
    assert files(folder) == {"tiny-small.json"}


def test_who_comes_second_waits_for_the_last_cell(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    alone = Experiment("predator-prey", CELLS[:1], trajectories=8, test_trajectories=4)
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), alone)
    begun, enough, in_no_time = threading.Event(), threading.Event(), machine.__call__

    def run(data, cell, **more) -> dict:
        begun.set()
        assert enough.wait(60)
        return in_no_time(data, cell, **more)

    monkeypatch.setattr(_reproduce, "run_cell", run)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(reproduce, "tiny")
        assert begun.wait(60)
        with pytest.raises(ValueError, match="Another process is running this experiment"):
            reproduce("tiny", fresh=True)
        second = pool.submit(reproduce, "tiny")
        until = time.monotonic() + 60
        while "Waiting for another process" not in (said := capsys.readouterr().err):
            assert time.monotonic() < until, said
            time.sleep(0.01)
        enough.set()
        assert first.result() == second.result()
    assert machine.ran == [(0, False)]
    assert files(folder) == {"tiny-small.json"}


def test_an_experiment_of_several_sizes(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data are made once a size, and what a snapshot costs is recorded."""
    cells = tuple(dataclasses.replace(c, atoms=n) for n in (200, 400) for c in CELLS)
    sizes = Experiment("atoms", cells, 8, 4, data={"start": "family"})
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), sizes)
    made = []

    def build(*counts: int, **data) -> mk.experiments.Benchmark:
        made.append((*counts, data))
        return benchmark()

    monkeypatch.setitem(_reproduce._BENCHMARKS, "atoms", build)
    monkeypatch.setattr(_reproduce, "costs", lambda _, cells: [{"force": c.atoms} for c in cells])
    kill(machine, 4)
    record = json.loads(reproduce("tiny").read_text())
    first, second = ((8, 4, {"start": "family", "atoms": n}) for n in (200, 400))
    assert made == [first, first, second]
    assert [run["snapshot_seconds"]["force"] for run in record["runs"]] == [200] * 3 + [400] * 3
    assert [run["seeds"][0] for run in record["runs"]] == [0, 2, 4] * 2


def test_an_experiment_of_one_cell(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of all cells and what came of the only one have files of their own."""
    alone = Experiment("predator-prey", CELLS[:1], trajectories=8, test_trajectories=4)
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), alone)
    (run,) = json.loads(reproduce("tiny").read_text())["runs"]
    assert run["seeds"][0] == 0
    assert "predicted" in run


@pytest.mark.slow
def test_real_cells(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of the second and resumed: the record of a run that was not."""
    cells = CELLS[:2]
    tiny = Experiment("predator-prey", cells, trajectories=8, test_trajectories=4)
    monkeypatch.setitem(EXPERIMENTS, ("tiny", "fair", "small"), tiny)
    whole = json.loads(reproduce("tiny").read_text())

    real, steps = _reproduce.run_cell, []

    def killing(data, cell, *, checkpoint, report) -> dict:
        def watched(step: int, *rest) -> None:
            steps.append(step)
            if cell == cells[1] and step == 300:
                raise KeyboardInterrupt
            report(step, *rest)

        return real(data, cell, checkpoint=checkpoint, report=watched, save_every=0)

    with monkeypatch.context() as patch:
        patch.setattr(_reproduce, "run_cell", killing)
        with pytest.raises(KeyboardInterrupt):
            reproduce("tiny")
    assert steps == [100, 200, 300, 400, 100, 200, 300]
    resumed = json.loads(reproduce("tiny").read_text())
    for ours, theirs in zip(resumed["runs"], whole["runs"], strict=True):
        assert without_seconds(ours) == without_seconds(theirs)
        assert ours.keys() >= KEYS


@pytest.fixture
def only_tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No experiment but these, whose records are `tiny-small` and `tiny-published-small`."""
    tiny = {key: experiment for key, experiment in EXPERIMENTS.items() if key[0] == "tiny"}
    monkeypatch.setattr(_reproduce, "EXPERIMENTS", tiny)
    return folder


def test_all_goes_on_behind_what_was_recorded(only_tiny: Path, machine: Machine) -> None:
    fair, published = (only_tiny / f"tiny-{name}.json" for name in ("small", "published-small"))
    begun = reproduce_all()
    assert next(begun) == fair
    machine.kill_at = 4  # in the second one
    with pytest.raises(KeyboardInterrupt):
        next(begun)
    machine.kill_at = None
    machine.ran.clear()
    assert list(reproduce_all()) == [published]
    assert machine.ran == [(4, True)]
    assert files(only_tiny) == {fair.name, published.name}
    assert list(reproduce_all()) == [fair, published]  # and then from the beginning


def test_all_of_a_protocol_a_size_or_afresh(only_tiny: Path, machine: Machine) -> None:
    assert [path.stem for path in reproduce_all(protocol="published")] == ["tiny-published-small"]
    assert [path.stem for path in reproduce_all(full=True)] == ["tiny-full"]
    assert next(reproduce_all()).stem == "tiny-small"
    assert [path.stem for path in reproduce_all(fresh=True)] == [
        "tiny-small",
        "tiny-published-small",
    ]


def test_all_does_what_has_changed_meanwhile(
    only_tiny: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(reproduce_all())
    changed = Experiment("predator-prey", CELLS[:1], trajectories=8, test_trajectories=4)
    monkeypatch.setitem(_reproduce.EXPERIMENTS, ("tiny", "fair", "small"), changed)
    assert len(list(reproduce_all())) == 2


def test_all_makes_a_record_again_that_was_put_back(only_tiny: Path, machine: Machine) -> None:
    begun = reproduce_all()
    next(begun).write_text("an older one")
    assert [path.stem for path in reproduce_all()] == ["tiny-small", "tiny-published-small"]


def test_all_afresh_leaves_another_process_alone(only_tiny: Path, machine: Machine) -> None:
    next(reproduce_all())
    lock = _reproduce._Work(
        only_tiny / "tiny-published-small.json",
        _reproduce._identity(EXPERIMENTS["tiny", "published", "small"]),
    )._lock("a cell", blocking=True)
    with lock, pytest.raises(ValueError, match="Another process is running this experiment"):
        next(reproduce_all(fresh=True))
    assert [path.stem for path in reproduce_all()] == ["tiny-published-small"]


def test_who_is_last_with_all_leaves_nothing(only_tiny: Path, machine: Machine) -> None:
    """Else the next one would take it for an interrupted one, and leave out an experiment."""
    first = reproduce_all()
    next(first)
    list(reproduce_all())
    list(first)
    assert len(list(reproduce_all())) == 2


def test_unknown_names(folder: Path) -> None:
    message = r"No experiment 'lorenz' with protocol 'fair'\. Experiments: \[.*'predator-prey'"
    with pytest.raises(ValueError, match=message):
        reproduce("lorenz")
    with pytest.raises(
        ValueError, match=r"protocol 'unfair'\. .* protocols: \['fair', 'published'\]"
    ):
        reproduce("tiny", protocol="unfair")
    with pytest.raises(ValueError, match=r"No record lorenz\.json\. Make it with `macrokit reprod"):
        read_results("lorenz")


def test_the_contract_of_the_experiments() -> None:
    """Fixed seeds, equal steps and forces for both losses at each budget."""
    cells = EXPERIMENTS["predator-prey", "fair", "full"].cells
    for full, part in zip(cells[::2], cells[1::2], strict=True):
        assert (full.loss, part.loss) == ("L_z", "L_{x,1/5}")
        assert (full.forces, full.steps, full.seeds) == (part.forces, part.steps, part.seeds)
        assert full.seeds == tuple(range(8))
        assert full.steps == (20_000 if full.forces <= 300_000 else 50_000)
    assert {60_000, 300_000, 2_400_000} <= {cell.forces for cell in cells}


def test_the_published_protocol_is_the_released_codes() -> None:
    cells = EXPERIMENTS["predator-prey-losses", "published", "full"].cells
    assert len(cells) == 36
    for cell in cells:
        assert (cell.order, cell.optimiser, cell.scaling) == ("prefix", "amsgrad", "affine")
        assert (cell.learning_rate, cell.batch, cell.closure) == (5e-3, 256, "paper")
        assert cell.steps == 2_000 * -(-cell.snapshots(100) // 256)
        assert cell.seeds == (0, 1, 2)
        assert cell.design == ("with-replacement" if cell.fraction < 1 else "without-replacement")
    assert [cell.snapshots(100) for cell in cells[:6]] == [600, 600, 800, 1_200, 2_400, 3_000]


def test_the_published_protocol_of_the_larger_systems() -> None:
    """Its table of settings; one network, and three of Allen–Cahn."""
    atoms = EXPERIMENTS["lennard-jones", "published", "full"].cells
    nodes = EXPERIMENTS["allen-cahn", "published", "full"].cells
    for cell in atoms + nodes:
        assert (cell.optimiser, cell.scaling) == ("amsgrad", "affine")
        assert (cell.metric, cell.leading, cell.noise) == ("unit", None, 0.0)
    assert {(cell.order, cell.seeds) for cell in atoms} == {("prefix", (0,))}
    assert {(cell.order, cell.seeds) for cell in nodes} == {("spread", (0, 1, 2))}
    assert {cell.model for cell in atoms} == {"shared-onsagernet", "relu-mlp", "gfinn"}
    weights = {(cell.estimator, cell.observable_weight) for cell in atoms}
    assert weights == {("exact", 400.0), ("lifted", 1.0)}  # lifting has a metric of its own
    chosen = [(c.snapshots(800), c.drawn(800), c.steps, c.batch, c.width) for c in atoms]
    assert set(chosen) == {(1_250, 800, 10_000, 256, 256), (20_000, 50, 80_000, 512, 256)}
    chosen = [(c.snapshots(40_000), c.drawn(40_000), c.steps, c.batch, c.depth) for c in nodes]
    assert chosen == [(2_500, 40_000, 10_000, 256, 2), (40_000, 1_600, 158_000, 512, 2)]


@pytest.mark.parametrize("protocol", ["fair", "published"])
def test_every_number_of_the_papers_table_has_a_counterpart(protocol: str) -> None:
    cells = EXPERIMENTS["predator-prey-losses", protocol, "full"].cells
    made = {(cell.loss, cell.forces) for cell in cells}
    table = PUBLISHED["predator-prey"]
    assert made >= {(loss, forces) for loss, column in table.items() for forces in column}


def test_all_losses_of_a_budget_get_the_same() -> None:
    """Forces, steps and seeds, at each budget; and what takes a tenth of the forces, the rest."""
    cells = EXPERIMENTS["predator-prey-losses", "fair", "full"].cells
    for group in (cells[n : n + 12] for n in range(0, len(cells), 12)):
        *whole, tenth = group
        assert len({(cell.forces, cell.steps, cell.seeds) for cell in whole}) == 1
        assert tenth == dataclasses.replace(whole[-1], forces=whole[-1].forces // 10)


def test_every_experiment_has_a_title_and_two_sizes() -> None:
    for name, protocol, _ in EXPERIMENTS:
        assert name in TITLES
        assert {(name, protocol, size) for size in ("small", "full")} <= EXPERIMENTS.keys()
    assert {name for name, _, _ in EXPERIMENTS} == set(TITLES)
