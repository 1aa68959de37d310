"""The worker that runs off the main thread, and the sentences about a run."""

import time
from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go
import pytest

import macrokit as mk
from macrokit import ui
from macrokit.ui import _sentences, _worker
from macrokit.ui._display import Plot

PART = "a fifth of the forces"


def test_a_page_opened_anew_finds_the_figure_as_it_is() -> None:
    plot = Plot(go.Figure(go.Scatter(y=[1.0, 2.0]), {"height": 300}))
    with plot.turn, plot.batch_update():
        plot.data[0].y = [3.0, 4.0, 5.0]
        plot.layout.height = 200
    state = plot.get_state()
    (trace,) = state["_widget_data"]
    assert list(trace["y"]) == [3.0, 4.0, 5.0]
    assert state["_widget_layout"]["height"] == 200


def test_who_takes_long_is_told_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [0.0], []
    monkeypatch.setattr(_worker.time, "monotonic", lambda: now[0])

    def look(name: str, seconds: float) -> None:
        told.append((name, now[0]))
        now[0] += seconds

    watchers = _worker.Watchers()
    watchers.add(lambda: look("quick", 0.0))
    watchers.add(lambda: look("slow", 0.05))
    for _ in range(40):
        watchers.tell_some()
        now[0] += 0.25
    slow = [at for name, at in told if name == "slow"]
    assert len(told) - len(slow) == 40
    assert len(slow) == 5  # of 10 s a fortieth, 0.25 s
    assert all(np.diff(slow) >= 2.0)
    watchers.tell()
    assert [name for name, _ in told[-2:]] == ["quick", "slow"]
    watchers.tell_some()  # what is started again is shown at once
    assert [name for name, _ in told[-2:]] == ["quick", "slow"]
    assert len(told) == 40 + 5 + 2 + 2


def test_a_first_look_that_compiles_does_not_silence_its_watcher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, told = [0.0], []
    monkeypatch.setattr(_worker.time, "monotonic", lambda: now[0])

    def look() -> None:
        now[0] += 0.01 if told else 5.0
        told.append(now[0])

    watchers = _worker.Watchers()
    watchers.add(look)
    watchers.tell_some()
    now[0] += 3.0
    watchers.tell_some()
    assert len(told) == 2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"MACROKIT_HEADLESS": "1"}, True),
        ({"MACROKIT_HEADLESS": "0"}, False),
        ({"PYTEST_CURRENT_TEST": "nbmake's kernel inherits it"}, True),
    ],
)
def test_headless_is_a_matter_of_two_variables(monkeypatch, variables, expected: bool) -> None:
    for name in ("MACROKIT_HEADLESS", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _worker.headless() is expected


def score(learner: str, forces: int, error: float) -> mk.experiments.Score:
    return mk.experiments.Score(learner, forces, 0, 0.0, np.array([error]), np.ones((1, 4)))


@pytest.mark.parametrize(
    ("errors", "target", "expected"),
    [
        ((0.1, 0.01), 0.05, "about 3,700"),  # 3000 · 2^(log 2 / log 10)
        ((0.1, 0.01), 0.2, "3,000 or fewer"),
        ((0.1, 0.01), 0.001, ""),
        ((np.inf, 0.01), 0.05, "about 6,000"),
        ((0.1,), 0.2, ""),
    ],
)
def test_forces_for_an_error_are_read_off_the_line(errors, target: float, expected: str) -> None:
    scores = tuple(score(PART, 3000 * 2**i, error) for i, error in enumerate(errors))
    assert _sentences.forces_for(scores, PART, target) == expected


def test_the_screen_is_not_flooded(threads: None) -> None:
    shown, ended = [], []
    worker = ui.Worker(lambda: shown.append(time.monotonic()), ended.append)

    def items() -> Iterator[int]:
        for item in range(500):
            time.sleep(0.001)
            yield item

    assert worker.start(items)
    assert not worker.start(items)
    assert worker.wait(30)
    assert ended == [None]
    assert np.diff(shown).min() >= 0.2


def test_a_slow_screen_takes_a_third_of_the_time(threads: None) -> None:
    drawn: list[float] = []
    worker = ui.Worker(lambda: (drawn.append(time.monotonic()), time.sleep(0.2)), lambda _: None)

    def items() -> Iterator[int]:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            yield 0

    worker.start(items)
    worker.wait(30)
    assert np.diff(drawn).min() >= 0.6
