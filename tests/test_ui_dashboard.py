"""The dashboard without a browser: buttons by `.click()`, controls by `.value`.

Under pytest a session works inline; `threads` (conftest.py) makes it use its worker thread.
"""

import csv
import dataclasses
import datetime
import errno
import gc
import io
import json
import threading
import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
from panels import Compilations, Gate, said, widgets_in

import macrokit as mk
from macrokit import ui
from macrokit.ui import _session_file, _trial

ALL, SOME = "all forces", "a fifth of the forces"


@pytest.fixture(scope="module")
def arena() -> mk.experiments.Contest:
    data = mk.experiments.predator_prey(6, 2)
    learners = (
        mk.experiments.Learner(ALL, "exact", 1.0, width=8),
        mk.experiments.Learner(SOME, "difference", 0.2, width=8),
    )
    return mk.experiments.Contest(
        *(data.system, data.closure, data.training, data.validation, learners, (1_000, 2_000)),
        steps=20,
        members=2,
        batch=16,
    )


def widgets_open() -> set[int]:
    """Those that are not closed: ipywidgets holds on to them."""
    everything = gc.get_objects()
    return {id(w) for w in everything if isinstance(w, ipywidgets.Widget) and w.comm is not None}


def dashboard(arena: mk.experiments.Contest, folder: Path, **more: object) -> ui.Dashboard:
    return ui.Dashboard({"here": arena} | more, folder=folder)


@pytest.fixture(scope="module")
def finished(
    arena: mk.experiments.Contest, tmp_path_factory: pytest.TempPathFactory
) -> ui.Dashboard:
    """Full against partial, to the end. Read only."""
    panel = dashboard(arena, tmp_path_factory.mktemp("finished"))
    panel.pair_button.click()
    return panel


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, threads: None) -> Iterator[Gate]:
    gate = Gate(monkeypatch, _trial)
    yield gate
    gate.opened.set()


def names(panel: ui.Dashboard) -> list[str]:
    return [trial.name for trial in panel.session.trials]


def drawn(panel: ui.Dashboard) -> set[str]:
    return {trace.name for trace in panel.live.widget.data} - {"truth"}


def cell(panel: ui.Dashboard, trial: ui.Trial, name: str) -> str:
    return panel.table.row(trial).cells[name].value


def same_outcome(one: ui.Trial, other: ui.Trial) -> None:
    assert len(one.scores) == len(other.scores)
    for a, b in zip(one.scores, other.scores, strict=True):
        assert (a.forces, a.step) == (b.forces, b.step)
        np.testing.assert_array_equal(a.error, b.error)
        np.testing.assert_array_equal(a.field_error, b.field_error)
    np.testing.assert_array_equal(one.forecast.predicted, other.forecast.predicted)


# --- runs ----------------------------------------------------------------------------------------


def test_full_against_partial(finished: ui.Dashboard, arena: mk.experiments.Contest) -> None:
    assert names(finished) == [ALL, SOME]
    assert drawn(finished) == {ALL, SOME}
    assert said(finished.status) == "All runs are finished."
    for trial, learner in zip(finished.session.trials, arena.learners, strict=True):
        alone = dataclasses.replace(arena, learners=(learner,))
        *_, last = mk.experiments.compare(alone)
        np.testing.assert_array_equal(
            [s.error for s in trial.scores], [s.error for s in last.comparison.scores]
        )
        assert cell(finished, trial, "forces") == "2,000"
        assert cell(finished, trial, "state") == "finished"
        assert f"{trial.last.error.mean():.2g}" in cell(finished, trial, "error (least – greatest)")


def test_roll_outs_from_another_start(finished: ui.Dashboard) -> None:
    compiled = Compilations.count
    pictures = {}
    for start in (2, 1):
        finished.start.value = start
        pictures[start] = np.array(finished.live.widget.data[-1].y, float)
        forecast = finished.session.trials[-1].forecast
        middle = np.median(forecast.predicted[:, start - 1, :, 0], axis=0)
        np.testing.assert_allclose(pictures[start][: len(middle)], middle, rtol=1e-6)
    assert Compilations.count == compiled
    assert (pictures[1] != pictures[2]).any()


def test_what_the_controls_say_is_trained(arena: mk.experiments.Contest, tmp_path: Path) -> None:
    panel = dashboard(arena, tmp_path)
    panel.estimator.value, panel.design.value, panel.model.value = "lifted", "stratified", "mlp"
    panel.fraction.value, panel.budget.value, panel.width.value = 0.5, 1_000, 16
    panel.train_button.click()
    (trial,) = panel.session.trials
    expected = mk.experiments.Learner(
        "lifted, 1/2, MLP", "lifted", 0.5, "stratified", "mlp", width=16
    )
    assert trial.learner == expected
    assert trial.settings["budgets"] == (1_000,)
    assert trial.state == "finished"
    panel.train_button.click()  # once more, or twice by mistake
    assert said(panel.note) == "This run is in the table already: lifted, 1/2, MLP."
    compiled = Compilations.count
    panel.rate.value = 5e-3
    panel.train_button.click()
    assert names(panel) == ["lifted, 1/2, MLP", "lifted, 1/2, MLP (2)"]
    assert Compilations.count == compiled  # a rate is a number, not a program


def test_exact_asks_for_no_sites_and_no_design(
    arena: mk.experiments.Contest, tmp_path: Path
) -> None:
    panel = dashboard(arena, tmp_path)
    assert not panel.fraction.disabled
    panel.estimator.value = "exact"
    assert panel.fraction.disabled
    assert panel.design.disabled
    panel.train_button.click()
    assert panel.session.trials[0].learner.fraction == 1.0


def test_rename_hide_delete(arena: mk.experiments.Contest, tmp_path: Path) -> None:
    panel = dashboard(arena, tmp_path)
    panel.pair_button.click()
    first, second = panel.session.trials
    panel.table.row(first).name.value = "mine"
    assert drawn(panel) == {"mine", SOME}
    panel.table.row(second).name.value = "mine"
    assert names(panel) == ["mine", "mine (2)"]
    panel.table.row(second).name.value = "  "
    assert panel.table.row(second).name.value == "mine (2)"
    panel.table.row(first).shown.value = False
    assert drawn(panel) == {"mine (2)"}
    panel.table.row(first).shown.value = True
    panel.table.row(second).delete.click()
    assert drawn(panel) == {"mine"}
    assert len(panel.table.widget.children) == 2  # the head and a row


def test_what_is_deleted_or_closed_is_let_go(arena: mk.experiments.Contest, tmp_path: Path) -> None:
    """ipywidgets holds every widget until it is closed, and a row holds the networks of its run."""
    before = widgets_open()
    panel = dashboard(arena, tmp_path)
    empty = widgets_open()
    panel.pair_button.click()
    trials = [weakref.ref(trial) for trial in panel.session.trials]
    assert len(widgets_open()) > len(empty) + 20
    while panel.session.trials:
        panel.table.row(panel.session.trials[0]).delete.click()
    assert widgets_open() == empty
    gc.collect()
    assert [trial() for trial in trials] == [None, None]
    panel.close()
    assert widgets_open() == before


def test_stop_and_resume_changes_nothing(
    arena: mk.experiments.Contest, finished: ui.Dashboard, gate: Gate, tmp_path: Path
) -> None:
    panel = dashboard(arena, tmp_path)
    panel.pair_button.click()
    assert gate.reached.wait(60)
    assert panel.pair_button.disabled is False
    panel.stop_button.click()
    assert said(panel.status) == "Stopping after the present steps …"
    gate.opened.set()
    assert panel.wait(60)
    assert [trial.state for trial in panel.session.trials] == ["stopped", "waiting"]
    assert said(panel.status) == "Stopped. 2 unfinished; press Resume."
    panel.resume_button.click()
    assert panel.wait(60)
    for mine, theirs in zip(panel.session.trials, finished.session.trials, strict=True):
        same_outcome(mine, theirs)


def test_a_run_deleted_while_it_trains_makes_room(
    arena: mk.experiments.Contest, finished: ui.Dashboard, gate: Gate, tmp_path: Path
) -> None:
    panel = dashboard(arena, tmp_path)
    panel.pair_button.click()
    assert gate.reached.wait(60)
    panel.table.row(panel.session.trials[0]).delete.click()
    gate.opened.set()
    assert panel.wait(60)
    assert names(panel) == [SOME]
    same_outcome(panel.session.trials[0], finished.session.trials[1])


def test_every_control_may_move_while_it_trains(
    arena: mk.experiments.Contest, finished: ui.Dashboard, gate: Gate, tmp_path: Path
) -> None:
    panel = dashboard(arena, tmp_path)
    panel.pair_button.click()
    assert gate.reached.wait(60)
    panel.rate.value = 1e-4
    for part in (panel.estimator, panel.design, panel.model, panel.fraction, panel.budget):
        for _, value in part._options_full:
            part.value = value
    gate.opened.set()
    assert panel.wait(60)
    for mine, theirs in zip(panel.session.trials, finished.session.trials, strict=True):
        same_outcome(mine, theirs)


def test_what_fails_is_told_and_stops_no_other(
    arena: mk.experiments.Contest,
    finished: ui.Dashboard,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    threads: None,
) -> None:
    panel, original = dashboard(arena, tmp_path), mk.experiments.compare

    def compare(contest: mk.experiments.Contest, *args: object, **options: object) -> Iterator:
        for progress in original(contest, *args, **options):
            if contest.learners[0].name == ALL:
                raise RuntimeError("lost in the woods")
            yield progress

    monkeypatch.setattr(mk.experiments, "compare", compare)
    panel.pair_button.click()
    with pytest.raises(RuntimeError, match="lost in the woods"):
        panel.wait(60)
    assert panel.wait(60)  # told once
    failed, good = panel.session.trials
    assert (failed.state, good.state) == ("failed", "finished")
    assert said(panel.status) == f"{ALL} failed: lost in the woods"
    same_outcome(good, finished.session.trials[1])
    monkeypatch.setattr(mk.experiments, "compare", original)
    assert panel.table.row(failed).again.layout.display == ""
    panel.table.row(failed).again.click()
    assert panel.wait(60)
    same_outcome(failed, finished.session.trials[0])


def test_an_arena_that_cannot_be_made(arena: mk.experiments.Contest, tmp_path: Path) -> None:
    def broken() -> mk.experiments.Contest:
        raise OSError("no such archive")

    panel = dashboard(arena, tmp_path, there=broken)
    panel.system.value = "there"
    assert said(panel.note) == "there could not be made: no such archive"
    assert panel.train_button.disabled
    panel.system.value = "here"
    assert not panel.train_button.disabled


def test_called_from_code_it_waits_for_the_data(
    arena: mk.experiments.Contest, tmp_path: Path, threads: None
) -> None:
    """A cell that follows the panel's may come before its trajectories."""
    asked, simulated = threading.Event(), threading.Event()

    def slow() -> mk.experiments.Contest:
        asked.set()
        assert simulated.wait(60)
        return arena

    panel = ui.Dashboard({"there": slow}, folder=tmp_path)
    assert asked.wait(60)
    assert panel.train_button.disabled
    assert said(panel.note) == "Simulating the trajectories of there …"
    threading.Timer(0.2, simulated.set).start()
    panel.train_pair()
    assert names(panel) == [ALL, SOME]
    assert [trial.settings["budgets"] for trial in panel.session.trials] == [(1_000, 2_000)] * 2
    panel.stop_button.click()
    assert panel.wait(60)


def test_what_cannot_be_held_is_said(arena: mk.experiments.Contest, tmp_path: Path) -> None:
    panel = dashboard(dataclasses.replace(arena, budgets=(1_000, 6_000)), tmp_path)
    panel.fraction.value = 0.02
    panel.train_button.click()
    assert "Lower the budget, raise the fraction" in said(panel.note)
    with pytest.raises(ValueError, match="Lower the budget, raise the fraction"):
        panel.train()
    assert panel.session.trials == []


# --- files ---------------------------------------------------------------------------------------


def test_a_finished_session_opens_anywhere(finished: ui.Dashboard, tmp_path: Path) -> None:
    path = finished.save_session()
    elsewhere = ui.Dashboard({"another": finished.session.arena("here")}, folder=tmp_path)
    elsewhere.open_session(path)
    assert names(elsewhere) == [ALL, SOME]
    for mine, theirs in zip(elsewhere.session.trials, finished.session.trials, strict=True):
        same_outcome(mine, theirs)
        assert mine.learner == theirs.learner
        assert mine.settings == theirs.settings
    again = elsewhere.save_session()
    assert [t.name for t in _session_file.unpack(again.read_bytes())] == [ALL, SOME]


def test_networks_come_back_with_their_arena(finished: ui.Dashboard, tmp_path: Path) -> None:
    panel = dashboard(finished.session.arena("here"), tmp_path)
    panel.open_session(finished.save_session())
    trial, theirs = panel.session.trials[1], finished.session.trials[1]
    trial.restore(panel.session.arena("here"))
    forecast = mk.experiments.forecast(
        trial.contest(panel.session.arena("here")), trial.comparison.models(0)
    )
    np.testing.assert_array_equal(forecast.predicted, theirs.forecast.predicted)


def test_saved_in_mid_run_and_finished_elsewhere(
    arena: mk.experiments.Contest, finished: ui.Dashboard, gate: Gate, tmp_path: Path
) -> None:
    panel = dashboard(arena, tmp_path)
    panel.pair_button.click()
    assert gate.reached.wait(60)
    panel.stop_button.click()
    gate.opened.set()
    assert panel.wait(60)
    content = _session_file.pack(panel.session.trials)

    other = dashboard(arena, tmp_path)
    other.open_session(content)
    assert [trial.state for trial in other.session.trials] == ["stopped", "waiting"]
    assert other.session.trials[0].done == panel.session.trials[0].done > 0
    other.resume_button.click()
    assert other.wait(60)
    for mine, theirs in zip(other.session.trials, finished.session.trials, strict=True):
        same_outcome(mine, theirs)


def test_an_unknown_arena_is_asked_for_when_it_is_needed(
    arena: mk.experiments.Contest, tmp_path: Path
) -> None:
    session = ui.Session({"mine": arena})
    session.add("mine", arena.learners[0])
    panel = dashboard(arena, tmp_path)
    panel.open_session(_session_file.pack(session.trials))
    with pytest.raises(ValueError, match=r"belongs to 'mine', .* ui.Dashboard\(\{'mine': contest"):
        panel.session.start()
    assert panel.session.trials[0].state == "failed"


def test_uploading(finished: ui.Dashboard, tmp_path: Path) -> None:
    panel = dashboard(finished.session.arena("here"), tmp_path)
    content = finished.save_session().read_bytes()
    file = {
        "name": "lesson.zip",
        "type": "application/zip",
        "size": len(content),
        "content": content,
        "last_modified": datetime.datetime(2026, 1, 1),
    }
    panel.opener.value = (file,)
    assert said(panel.saved) == "Opened lesson.zip."
    assert names(panel) == [ALL, SOME]
    panel.opener.value = (file | {"content": b"nothing of ours"},)
    assert "not a whole macrokit session" in said(panel.saved)
    assert names(panel) == [ALL, SOME]


def changed(content: bytes, **header: object) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(body, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "session.json":
                data = json.dumps(json.loads(data) | header).encode()
            new.writestr(name, data)
    return body.getvalue()


def test_files_that_are_no_session(finished: ui.Dashboard) -> None:
    content = _session_file.pack(finished.session.trials)
    for wrong in (b"", content[: len(content) // 2], changed(content, format="another")):
        with pytest.raises(ValueError, match="not a whole macrokit session"):
            _session_file.unpack(wrong)
    with pytest.raises(ValueError, match="format version 99; this macrokit reads up to 1"):
        _session_file.unpack(changed(content, version=99))


def test_exports(finished: ui.Dashboard, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(finished.save_data().read_text())))
    assert len(rows) == 2 * 2 * 2  # runs, rounds, members
    assert float(rows[-1]["error"]) == finished.session.trials[1].last.error[-1]
    with np.load(finished.save_arrays()) as arrays:
        assert str(arrays["1/name"]) == SOME
        np.testing.assert_array_equal(
            arrays["1/predicted"], finished.session.trials[1].forecast.predicted
        )
        np.testing.assert_array_equal(arrays["1/forces"], [1_000, 2_000])
    assert SOME in finished.save_figure().read_text()
    for saver in finished.savers:
        saver.click()
        assert "Saved" in said(finished.saved)
        assert '">download</a>' in finished.saved.value


def test_a_full_disk_loses_nothing(
    finished: ui.Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = finished.save_session().read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for saver in finished.savers:
        saver.click()
        assert "No space left on device" in said(finished.saved)
    monkeypatch.undo()
    assert finished.save_session().read_bytes()[:4] == before[:4]
    assert _session_file.unpack(before)


def test_nothing_to_save(arena: mk.experiments.Contest, tmp_path: Path) -> None:
    panel = dashboard(arena, tmp_path)
    for saver in (*panel.savers[:2], panel.savers[3]):
        saver.click()
        assert "Press" in said(panel.saved) or "at the end of the first round" in said(panel.saved)


# --- controls ------------------------------------------------------------------------------------


def test_every_control_says_what_it_is(finished: ui.Dashboard) -> None:
    kinds = (ipywidgets.Button, ipywidgets.Dropdown, ipywidgets.FileUpload)
    for part in widgets_in(finished.widget):
        if isinstance(part, kinds) or hasattr(part, "readout"):
            assert part.description
            assert part.tooltip


def test_the_catalogues_are_offered_whole(finished: ui.Dashboard) -> None:
    offered = {
        "estimator": set(finished.estimator.options.values()),
        "model": set(finished.model.options.values()),
        "design": set(finished.design.options),
    }
    assert offered == {
        "estimator": set(mk.estimators.TABLE),
        "model": set(mk.macro.TABLE),
        "design": set(mk.designs.TABLE),
    }


def test_the_arenas_of_the_paper() -> None:
    assert list(mk.experiments.ARENAS) == ["predator–prey", "Lennard-Jones", "Allen–Cahn"]
