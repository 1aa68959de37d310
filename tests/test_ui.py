"""Panels without a browser: buttons by `.click()`, sliders by `.value`.

Under pytest a run works inline; `threads` (conftest.py) makes it use its worker thread.
"""

import csv
import json
import threading
from collections.abc import Iterator

import equinox as eqx
import ipywidgets
import jax
import numpy as np
import plotly.graph_objects as go
import pytest
from panels import Compilations, Gate, lines, said, widgets_in

import macrokit as mk
from macrokit import ui
from macrokit.ui import _run

BUDGETS = (1_000, 2_000)
FULL, PART = "all forces", "a fifth of the forces"


@pytest.fixture(scope="module")
def contest() -> mk.experiments.Contest:
    data = mk.experiments.predator_prey(6, 2)
    learners = (
        mk.experiments.Learner(FULL, "exact", 1.0, width=8),
        mk.experiments.Learner(PART, "lifted", 0.2, width=8),
    )
    return mk.experiments.Contest(
        data.system,
        data.closure,
        data.training,
        data.validation,
        learners,
        BUDGETS,
        steps=20,
        members=2,
        batch=16,
    )


@pytest.fixture(scope="module")
def finished(contest: mk.experiments.Contest) -> ui.Lab:
    """A lab that ran to the end without interruption. Read only."""
    lab = ui.Lab(contest)
    lab.start()
    return lab


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, threads: None) -> Iterator[Gate]:
    gate = Gate(monkeypatch, _run)
    yield gate
    gate.opened.set()


def press_and_hold(panel: ui.Comparison, gate: Gate) -> None:
    panel.start_button.click()
    assert gate.reached.wait(60), panel.status.value


def leaves(tree: object) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))]


def same_outcome(a: ui.Run, b: ui.Run) -> None:
    for one, other in zip(a.scores, b.scores, strict=True):
        assert (one.learner, one.forces, one.step) == (other.learner, other.forces, other.step)
        np.testing.assert_array_equal(one.error, other.error)
    for index in range(2):
        for one, other in zip(leaves(a.models(index)), leaves(b.models(index)), strict=True):
            np.testing.assert_array_equal(one, other)


# --- construction --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Lab", "Comparison", "Simulator"])
def test_a_panel_is_displayed_when_asked_and_not_before(
    kind: str, contest: mk.experiments.Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.extend(a))
    panel = getattr(ui, kind)(contest.system if kind == "Simulator" else contest)
    assert shown == []
    panel._ipython_display_()
    assert shown == [panel.widget]
    parts = list(widgets_in(panel.widget))
    assert sum(isinstance(part, go.FigureWidget) for part in parts) == 1
    assert type(panel.figure()) is go.Figure


def test_every_control_says_what_it_is(contest: mk.experiments.Contest) -> None:
    parts = list(widgets_in(ui.Lab(contest).widget))
    controls = [
        part for part in parts if hasattr(part, "readout") or isinstance(part, ipywidgets.Button)
    ]
    assert len(controls) == 5 + 1 + 1 + 4 + 4 + 3
    for part in controls:
        assert part.description
        assert part.tooltip
        assert getattr(part, "readout", True)  # the value is also in text
    assert sum(isinstance(part, ipywidgets.FloatProgress) for part in parts) == 1


def test_buttons_that_would_do_nothing_are_greyed(finished: ui.Lab, contest) -> None:
    def enabled(panel: ui.Comparison) -> list[str]:
        four = (panel.start_button, panel.stop_button, panel.resume_button, panel.reset_button)
        return [button.description for button in four if not button.disabled]

    assert enabled(ui.Comparison(contest)) == ["Start"]
    assert enabled(finished.comparison) == ["Reset"]


# --- a run ---------------------------------------------------------------------------------------


def test_a_run_to_the_end(finished: ui.Lab) -> None:
    panel, run = finished.comparison, finished.run
    assert run.state == "finished"
    assert finished.wait()
    assert [(s.learner, s.forces) for s in run.scores] == [
        (name, forces) for forces in BUDGETS for name in (FULL, PART)
    ]
    assert said(panel.status) == "Finished: each learner bought 2,000 forces."
    assert panel.progress.value == 1
    assert panel.progress_text.value == "round 2 of 2 · 100 %"
    assert "Unseen starts, 2,000 forces each" in panel.headline.value
    for name in (FULL, PART):
        path, *scores = lines(finished.figure(), name)
        assert len(path.y) == 2 * 2 * 302 - 1  # members × observables, with gaps
        assert [list(trace.x) for trace in scores] == [[1000, 1000, 2000, 2000], [1000, 2000]] * 2
    assert "This start:" in finished.verdict.value


def test_the_panels_work_alone(contest: mk.experiments.Contest, finished: ui.Lab) -> None:
    panel = ui.Comparison(contest)
    panel.start()
    same_outcome(panel.run, finished.run)
    assert {trace.name for trace in panel.figure().data} == {FULL, PART}


def test_wait_returns_at_once_when_nothing_was_started(contest, threads: None) -> None:
    lab = ui.Lab(contest)
    assert lab.wait()
    assert lab.run.state == "ready"
    lab.stop()
    assert lab.run.state == "ready"


def test_stop_and_resume_end_bit_equal(contest, finished: ui.Lab, gate: Gate) -> None:
    lab = ui.Lab(contest)
    panel = lab.comparison
    press_and_hold(panel, gate)
    assert lab.run.state == "running"
    panel.stop_button.click()
    assert said(panel.status) == "Stopping after the present steps …"
    gate.opened.set()
    assert lab.wait(60)
    assert lab.run.state == "stopped"
    assert 0 < lab.run.done < 1
    assert "usable" in said(panel.status)
    assert np.isfinite(leaves(lab.run.models(1))[0]).all()
    assert not panel.resume_button.disabled
    panel.resume_button.click()
    assert lab.wait(60)
    same_outcome(lab.run, finished.run)


def test_stop_while_it_compiles(contest, finished: ui.Lab, monkeypatch, threads: None) -> None:
    compiling, compiled = threading.Event(), threading.Event()
    original = mk.experiments.compare

    def compare(*args: object, **options: object) -> Iterator:
        compiling.set()
        assert compiled.wait(60)
        yield from original(*args, **options)

    monkeypatch.setattr(mk.experiments, "compare", compare)
    lab = ui.Lab(contest)
    lab.comparison.start_button.click()
    assert compiling.wait(60)
    lab.comparison.stop_button.click()
    assert said(lab.comparison.status) == "Stopping after the present steps …"  # and not later
    assert lab.comparison.stop_button.disabled
    compiled.set()
    assert lab.wait(60)
    assert lab.run.state == "stopped"
    lab.comparison.resume_button.click()
    assert lab.wait(60)
    same_outcome(lab.run, finished.run)


def test_a_second_start_does_nothing(contest, finished: ui.Lab, gate: Gate) -> None:
    lab = ui.Lab(contest)
    press_and_hold(lab.comparison, gate)
    lab.comparison.start_button.click()
    lab.start()
    gate.opened.set()
    assert lab.wait(60)
    lab.start()  # nor does one after the end
    assert gate.runs == 1
    same_outcome(lab.run, finished.run)


def test_reset_stops_waits_and_restores(contest, finished: ui.Lab, gate: Gate) -> None:
    lab = ui.Lab(contest)
    press_and_hold(lab.comparison, gate)
    threading.Timer(0.2, gate.opened.set).start()
    lab.comparison.reset_button.click()
    assert (lab.run.state, lab.run.scores, lab.run.models(0)) == ("ready", (), None)
    assert lab.comparison.progress.value == 0
    assert said(lab.comparison.status) == "Ready. Press Start."
    assert all(np.isnan(np.array(t.y, float)).all() for t in lines(lab.figure(), PART))
    lab.start()
    assert lab.wait(60)
    same_outcome(lab.run, finished.run)


def test_a_failure_is_shown_and_raised_and_costs_nothing(
    contest, finished: ui.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = mk.experiments.compare

    def failing(*args: object, **options: object) -> Iterator:
        for progress in original(*args, **options):
            yield progress
            raise FloatingPointError("the <engine> stopped")

    monkeypatch.setattr(mk.experiments, "compare", failing)
    lab = ui.Lab(contest)
    with pytest.raises(FloatingPointError, match="engine"):
        lab.start()
    assert lab.run.state == "failed"
    shown = said(lab.comparison.status)
    assert shown == "Failed: FloatingPointError: the &lt;engine&gt; stopped"
    assert len(lab.run.scores) == 2  # what was learned stays
    monkeypatch.setattr(mk.experiments, "compare", original)
    lab.comparison.resume_button.click()
    same_outcome(lab.run, finished.run)


def test_wait_raises_what_the_thread_raised(contest, threads: None, monkeypatch) -> None:
    def failing(*_: object, **__: object) -> Iterator:
        raise MemoryError("too much")
        yield

    monkeypatch.setattr(mk.experiments, "compare", failing)
    lab = ui.Lab(contest)
    lab.comparison.start_button.click()
    with pytest.raises(MemoryError, match="too much"):
        lab.wait(60)
    assert said(lab.comparison.status) == "Failed: MemoryError: too much"
    assert lab.wait()  # raised once
    lab.comparison.reset_button.click()
    assert lab.run.state == "ready"


def test_a_budget_that_the_pool_cannot_serve_is_refused_at_once(contest) -> None:
    panel = ui.Comparison(contest)
    panel.budget.value = 120_000
    assert "Lower the budget" in said(panel.note)
    assert panel.start_button.disabled
    assert panel.run.contest == contest
    panel.budget.value = 6_000
    assert said(panel.note) == ""
    assert not panel.start_button.disabled
    assert panel.run.contest.budgets == (3_000, 6_000)


# --- settings ------------------------------------------------------------------------------------


def test_settings_moved_in_mid_run_wait_for_reset(contest, gate: Gate) -> None:
    lab = ui.Lab(contest)
    panel = lab.comparison
    press_and_hold(panel, gate)
    panel.fraction.value, panel.width.value = 0.5, 16
    assert said(panel.note) == "Moved: fraction p, width. It holds after Reset and Start."
    assert lab.run.contest == contest
    gate.opened.set()
    panel.reset_button.click()
    assert said(panel.note) == ""
    full, half = lab.run.contest.learners
    assert (full.fraction, half.fraction, half.width) == (1.0, 0.5, 16)
    assert half.name == "half of the forces"
    assert lines(lab.figure(), "half of the forces")
    assert not lines(lab.figure(), PART)


def test_settings_moved_before_the_start_hold_at_once(contest) -> None:
    panel = ui.Comparison(contest)
    panel.budget.value = 6_000
    assert panel.run.contest.budgets == (3_000, 6_000)
    assert list(panel.figure().layout.xaxis.tickvals) == [3_000, 6_000]
    panel.budget.value = 2_000
    assert panel.run.contest == contest


def test_the_learning_rate_holds_at_once_and_recompiles_nothing(
    contest, finished: ui.Lab, gate: Gate
) -> None:
    lab = ui.Lab(contest)
    press_and_hold(lab.comparison, gate)
    before = Compilations.count
    lab.comparison.rate.value = 1e-3
    gate.opened.set()
    assert lab.wait(60)
    assert Compilations.count == before
    rates = [float(state.schedule.peak) for state in lab.run.comparison.states]
    np.testing.assert_allclose(rates, 1e-3, rtol=1e-6)
    assert not np.array_equal(lab.run.scores[-1].error, finished.run.scores[-1].error)


# --- predictions from the simulator's start ------------------------------------------------------


def test_a_moved_start_predicts_anew(contest) -> None:
    lab = ui.Lab(contest)
    lab.start()
    before = np.array(lines(lab.figure(), PART)[0].y)
    lab.simulator.sliders["level"].value = 0.42
    after = np.array(lines(lab.figure(), PART)[0].y)
    assert not np.array_equal(before, after, equal_nan=True)
    np.testing.assert_allclose(after[0], 0.42, atol=1e-5)
    assert "other parameters" not in said(lab.verdict)
    lab.simulator.sliders["growth"].value = 4
    assert "learned with other parameters!" in said(lab.verdict)


def test_a_diverged_prediction_is_told_with_its_time(contest, monkeypatch) -> None:
    lab = ui.Lab(contest)
    lab.start()
    original = mk.experiments.predict

    def predict(models, starts, times) -> tuple:
        z, left_at = original(models, starts, times)
        left_at = left_at.copy()
        left_at[1] = 12.0
        return z, left_at

    monkeypatch.setattr(mk.experiments, "predict", predict)
    lab.simulator.draw()
    assert f"{PART} left the known region at t = 12" in lab.verdict.value
    shown = np.array(lines(lab.figure(), PART)[0].y)
    assert np.isnan(shown).sum() > 2 * (301 - 120)
    assert np.isfinite(shown[:301]).all()  # the member that stayed


# --- files ---------------------------------------------------------------------------------------


def test_files_can_be_read_again(finished: ui.Lab, tmp_path, monkeypatch) -> None:
    panel = finished.comparison
    monkeypatch.setattr(panel, "folder", tmp_path)
    for button in panel.files.children:
        button.click()
        assert str(tmp_path) in said(panel.status)
    full, part = panel.save_models()
    assert part.name == "macrokit-a-fifth-of-the-forces.mk"
    loaded = mk.load(part, like=mk.experiments.open_comparison(finished.run.contest).models(1))
    for one, other in zip(leaves(loaded), leaves(finished.run.models(1)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert mk.hyperparameters(full)["forces"] == 2_000
    table = (tmp_path / "macrokit-comparison.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == 2 * 2 * 2
    assert float(rows[-1]["error"]) == pytest.approx(finished.run.scores[-1].error[1])
    page = (tmp_path / "macrokit-comparison.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert "cdn.plot.ly" not in page.partition("Plotly.newPlot")[2]
    assert json.dumps(PART) in page


def test_nothing_to_save_is_said(contest, tmp_path) -> None:
    panel = ui.Comparison(contest, folder=tmp_path)
    panel.files.children[0].click()
    assert said(panel.status) == "There is no model yet. Press Start first."
    panel.files.children[2].click()
    assert "no scores yet" in said(panel.status)
