"""A cell of a table: what it buys, what it records, and that a killed one resumes bit by bit."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from catalogue import benchmark

import macrokit as mk
from macrokit._closure import encode_states
from macrokit.experiments import Benchmark, Cell, _cells, run_cell
from macrokit.experiments._cells import buy, chosen, labelled, summary

CELL = Cell("lifted", 0.2, 2_000, steps=400, seeds=(0, 1), model="mlp", batch=32)
CURVED = dataclasses.replace(CELL, curve=4)
KEYS = {
    "system", "model", "estimator", "design", "loss", "fraction", "forces_training",
    "forces_trajectories", "seeds", "errors", "error_mean", "error_median", "error_std", "seconds",
}  # fmt: skip


def without_seconds(run: dict) -> dict:
    return {key: value for key, value in run.items() if key not in ("seconds", "seconds_of")}


@pytest.fixture(scope="module")
def whole() -> dict:
    """A run that nothing interrupted."""
    return run_cell(benchmark(), CURVED)


class Killed(Exception):
    pass


@pytest.mark.slow
def test_the_record_of_a_cell(whole: dict) -> None:
    assert whole.keys() >= KEYS
    assert json.loads(json.dumps(whole)) == whole
    expected = {
        "system": "predator-prey",
        "model": "mlp",
        "estimator": "lifted",
        "design": "without-replacement",
        "loss": "L_{x,1/5}",
        "fraction": 0.2,
        "forces_training": 2_000,
        "forces_trajectories": 8 * 3_000 * 100,
        "seeds": [0, 1],
    }
    assert whole | expected == whole
    errors = np.array(whole["errors"])
    assert errors.shape == (2,)
    assert errors[0] != errors[1]
    assert ((errors > 1e-4) & (errors < 0.5)).all()
    for key, number in (
        ("mean", errors.mean()),
        ("median", np.median(errors)),
        ("std", errors.std()),
    ):
        assert whole[f"error_{key}"] == pytest.approx(number)
    assert whole["seconds_of"].keys() == {"labels", "training", "roll-out"}
    assert min(whole["seconds_of"].values()) > 0
    assert whole["seconds"] == pytest.approx(sum(whole["seconds_of"].values()), abs=0.02)
    assert [point["step"] for point in whole["curve"]] == [100, 200, 300, 400]
    assert whole["curve"][-1]["errors"] == whole["errors"]
    assert whole["curve"][0]["errors"] != whole["errors"]


@pytest.mark.slow
def test_a_killed_cell_resumes_bit_by_bit(whole: dict, tmp_path: Path) -> None:
    checkpoint, steps = tmp_path / "cell.checkpoint", []

    def killing(step: int, of: int, seconds_left: float) -> None:
        steps.append((step, of))
        assert seconds_left >= 0
        if step == 300:
            raise Killed

    with pytest.raises(Killed):
        run_cell(empty_handed(), CURVED, checkpoint=checkpoint, save_every=0, report=killing)
    assert steps == [(100, 400), (200, 400), (300, 400)]
    steps.clear()
    paid = sum(mk.hyperparameters(checkpoint)["seconds"].values())
    resumed = run_cell(
        empty_handed(), CURVED, checkpoint=checkpoint, report=lambda step, *_: steps.append(step)
    )
    assert steps == [300, 400]  # from the checkpoint at 200
    assert without_seconds(resumed) == without_seconds(whole)
    assert resumed["seconds"] >= round(paid, 2)


@pytest.mark.slow
def test_another_seed_is_another_run(whole: dict) -> None:
    other = run_cell(benchmark(), dataclasses.replace(CELL, seeds=(0, 1)), seed=1)
    assert other["seeds"] == [1, 2]
    # A seed is a seed, wherever it stands in the ensemble.
    assert other["errors"][0] == pytest.approx(whole["errors"][1], rel=1e-3)
    assert other["errors"][1] not in whole["errors"]


def bought(cell: Cell, seed: int) -> mk.Snapshots:
    return buy(benchmark(), cell, *chosen(benchmark(), cell, seed))


def test_what_a_seed_buys() -> None:
    full = bought(dataclasses.replace(CELL, estimator="exact", fraction=1.0), 3)
    part = bought(CELL, 3)
    assert (len(full), full.forces) == (20, 2_000)
    assert (len(part), part.forces) == (100, 2_000)
    np.testing.assert_array_equal(part.x[:20], full.x)  # the same states, seen through fewer forces
    assert (bought(CELL, 4).x != part.x).any()


def test_the_published_way_to_buy() -> None:
    data, prefix = benchmark(), dataclasses.replace(CELL, order="prefix")
    some = bought(dataclasses.replace(prefix, design="with-replacement"), 0)
    np.testing.assert_array_equal(some.x, data.training.x[0, :100])
    assert some.forces < 2_000 == some.sites.size
    long = bought(dataclasses.replace(prefix, forces=400 * 20), 0)
    np.testing.assert_array_equal(long.x[301:], data.training.x[1, :99])


@pytest.mark.parametrize("metric", ["spread", "rate", "unit"])
def test_labels_do_not_depend_on_the_blocks(metric: str, monkeypatch) -> None:
    cell = dataclasses.replace(CELL, estimator="difference", metric=metric)
    whole = labelled(empty_handed(), cell, [3, 4])
    monkeypatch.setattr(_cells, "_NUMBERS", 100 * 17)  # 17 snapshots at a time
    for (ours, forces), (theirs, paid), seed in zip(
        labelled(empty_handed(), cell, [3, 4]), whole, (3, 4), strict=True
    ):
        snapshots = bought(cell, seed)
        assert forces == paid == snapshots.forces
        for name in ("z", "S", "b", "c"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-4)
        expected = encode_states(benchmark().closure, snapshots.x)
        np.testing.assert_allclose(ours.z, expected, rtol=1e-5)


def test_observables_weigh_more_where_it_is_asked() -> None:
    """As the released code's temperature does, which it measures in twentieths."""
    cell = dataclasses.replace(CELL, estimator="exact", fraction=1.0, metric="unit")
    heavy = dataclasses.replace(cell, observable_weight=400.0)
    ((plain, _),), ((weighed, _),) = (labelled(empty_handed(), c, [3]) for c in (cell, heavy))
    expected = np.array([400, 400, 1, 1])  # of two mean populations, and two learned variables
    np.testing.assert_allclose(weighed.b, expected * np.asarray(plain.b), rtol=1e-6)
    np.testing.assert_allclose(weighed.S, np.diag(expected) * np.asarray(plain.S), rtol=1e-6)


@pytest.mark.parametrize("metric", ["spread", "rate"])
def test_what_is_bought_grows_with_the_budget(metric: str, monkeypatch) -> None:
    """As if all of it were bought at once; nothing twice, and nothing of another kind."""
    cells = [
        dataclasses.replace(CELL, estimator="difference", metric=metric, forces=forces)
        for forces in (400, 1_000, 600)
    ]
    expected = [labelled(empty_handed(), cell, [3, 4]) for cell in cells]
    counts, real = [], _cells.buy

    def counted(data, cell, run, time, keys):
        counts.append(len(run))
        return real(data, cell, run, time, keys)

    monkeypatch.setattr(_cells, "buy", counted)
    data = empty_handed()
    for cell, whole in zip(cells, expected, strict=True):
        for (ours, forces), (theirs, paid) in zip(labelled(data, cell, [3, 4]), whole, strict=True):
            assert forces == paid == cell.forces
            for name in ("z", "S", "b", "c"):
                np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-4)
    assert sum(counts) == 2 * 50
    labelled(data, dataclasses.replace(cells[0], estimator="lifted"), [3, 4])
    assert sum(counts) == 2 * (50 + 20)


def empty_handed() -> Benchmark:
    """The data, with nothing bought on them."""
    return dataclasses.replace(benchmark(), bought={})


def test_the_metric_of_the_rates_weighs_all_alike() -> None:
    cell = dataclasses.replace(CELL, estimator="exact", fraction=1.0, metric="rate", forces=40_000)
    ((labels, _),) = labelled(benchmark(), cell, [0])
    # c = yᵀ W y is the number of variables on the average, but for what no affine field explains.
    assert 0.9 * 4 < float(labels.c.mean()) < 2 * 4


def test_a_diverged_network_is_counted_and_not_left_out() -> None:
    errors = np.array([0.1, np.inf, 0.3])
    run = summary(benchmark(), CELL, 2_000, errors, {"labels": 0.2, "training": 1.034})
    assert (run["seconds"], "curve" in run) == (1.23, False)
    assert run["errors"] == [0.1, None, 0.3]
    assert (run["error_mean"], run["error_std"], run["diverged"]) == (None, None, 1)
    assert run["error_median"] == pytest.approx(0.3)
    assert json.loads(json.dumps(run, allow_nan=False)) == run


def test_names_of_losses() -> None:
    losses = [Cell("exact", 1.0, 1).loss, Cell("lifted", 1.0, 1).loss, CELL.loss]
    assert losses == ["L_z", "L_x", "L_{x,1/5}"]
