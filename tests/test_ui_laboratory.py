"""The estimator laboratory: settings by `.value`, buttons by `.click()`; headless."""

import numpy as np
import plotly.graph_objects as go
import pytest
from catalogue import Ring, closure, states
from panels import Compilations, said

from macrokit import ui
from macrokit._sampling import make_design

RING = Ring()


@pytest.fixture
def lab() -> ui.EstimatorLaboratory:
    made = ui.EstimatorLaboratory(RING, closure(RING), states(RING, 3), fractions=(0.1, 0.5, 1.0))
    assert "No noise at all" in said(made.status)  # the mean of q: its force is free
    made.settings["variable"].value = "z*2"
    return made


def test_it_shows_something_at_once_and_enough_after_start(lab: ui.EstimatorLaboratory) -> None:
    assert said(lab.status).startswith("500 redraws of 6 of 12 sites.")
    lab.buttons["Start"].click()
    assert said(lab.status).startswith("20,000 redraws")
    assert "; unbiased." in said(lab.status)
    assert not lab.buttons["Start"].disabled
    histogram = next(trace for trace in lab.live.data if trace.name == "redraws")
    assert np.sum(np.array(histogram.y) * histogram.width) == pytest.approx(1, abs=0.01)
    lab.buttons["Start"].click()  # there is enough: from the beginning again
    assert said(lab.status).startswith("20,000 redraws")


def test_every_setting_counts(lab: ui.EstimatorLaboratory) -> None:
    spread = {}
    lab.settings["design"].value = "without-replacement"
    for estimator, knows in (("direct", 1.0), ("lifted, difference", 1.0)):
        lab.settings["estimator"].value, lab.settings["knows"].value = estimator, knows
        assert lab.settings["knows"].disabled == (estimator == "direct")
        spread[estimator] = lab.redrawing.redraws.variance
    assert (spread["direct"] != spread["lifted, difference"])[1:].all()
    lab.settings["knows"].value = 0.0  # a model that knows nothing makes it the direct estimator
    np.testing.assert_allclose(lab.redrawing.redraws.variance, spread["direct"], rtol=1e-6)
    lab.settings["state"].value = 2
    assert (lab.redrawing.redraws.variance != spread["direct"])[1:].all()
    lab.settings["number"].value = 12
    assert "No noise at all: every draw gives the truth." in said(lab.status)
    lab.settings["number"].value = 1
    assert said(lab.status).startswith("500 redraws of 1 of 12 sites.")
    lab.settings["variable"].value = "ẑ1"
    assert lab.live.layout.xaxis2.title.text == "estimate of d(ẑ1)/dt (1/time)"


def test_what_the_model_knows_recompiles_nothing(lab: ui.EstimatorLaboratory) -> None:
    lab.settings["estimator"].value = "lifted, difference"
    before = Compilations.count
    for knows in (0.3, 0.7):
        lab.settings["knows"].value = knows
    lab.settings["state"].value = 1
    assert Compilations.count == before


def test_a_change_in_mid_run_forgets_what_was_drawn() -> None:
    redrawing = ui.EstimatorLaboratory(RING, closure(RING), states(RING, 3)).redrawing
    items = redrawing.items()
    next(items)
    assert redrawing.count == 1000
    redrawing.change(number=3)
    assert redrawing.redraws is None
    next(items)
    assert (redrawing.count, len(redrawing.redraws.sites)) == (500, 3)


def test_a_plain_figure(lab: ui.EstimatorLaboratory) -> None:
    assert type(lab.figure()) is go.Figure
    assert lab.wait()


def test_what_goes_wrong_is_said(
    lab: ui.EstimatorLaboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the engine is gone")

    monkeypatch.setattr("macrokit.ui._redrawing.redraw", fail)
    with pytest.raises(RuntimeError, match="the engine is gone"):
        lab.start()
    assert "It went wrong: the engine is gone" in said(lab.status)


def test_a_size_is_found_for_the_design_that_needs_one() -> None:
    design = make_design("proportional-to-size", closure(RING))
    assert design.size is not None
