"""What the gauge expects of a cell: (δ + ν)/snapshots, from the pilot alone."""

import dataclasses

import jax
import numpy as np
import pytest
from catalogue import benchmark

import macrokit as mk
from macrokit.experiments import Cell, _data
from macrokit.experiments._predictions import predictions

PARTIAL = Cell("lifted", 0.2, 60_000, design="stratified")


@pytest.mark.slow
def test_predictions_are_the_gauges() -> None:
    data = benchmark()
    cells = (
        Cell("exact", 1.0, 60_000),
        PARTIAL,
        dataclasses.replace(PARTIAL, estimator="direct"),
        dataclasses.replace(PARTIAL, fraction=0.5, forces=20_000),
    )
    exact, lifted, direct, half = predictions(data, cells)
    pilot = mk.spread(data.training, 50, key=jax.random.key(0))
    gauge = mk.diagnose(data.system, data.closure, pilot, numbers=(20, 50))
    delta, nu = gauge.defect.mean(), gauge.curves["lifted", "stratified"].mean(axis=1)
    assert exact == pytest.approx(delta / 600, rel=1e-3)
    assert lifted == pytest.approx((delta + nu[0]) / 3_000, rel=1e-3)
    assert half == pytest.approx((delta + nu[1]) / 400, rel=1e-3)
    noise = gauge.noise["direct", "stratified"].mean()
    assert direct == pytest.approx((delta + noise) / 3_000, rel=1e-3)
    assert direct > 10 * lifted


def test_a_closure_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the cells and for what the gauge expects of them, whatever came between."""

    def quickly(_: object, system: mk.systems.PredatorPrey, x: np.ndarray, *, seed: int) -> object:
        return mk.linear_closure(system.observable, x[:50], learned=2, key=jax.random.key(seed))

    monkeypatch.setattr(_data, "make_closure", quickly)
    data = benchmark()
    made = data.with_closure("principal", 1)
    again = made.with_closure("shipped").with_closure("principal", 1)
    assert again.closure is made.closure
    assert data.with_closure("principal", 2).closure is not made.closure
