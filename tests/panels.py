"""What tests of panels share: reading what a panel says and draws, counting compilations,
holding a contest."""

import threading
from collections.abc import Iterator
from types import ModuleType

import ipywidgets
import jax
import plotly.graph_objects as go
import pytest

import macrokit as mk


def said(widget: ipywidgets.HTML) -> str:
    return widget.value.partition(">")[2].removesuffix("</div>")


def lines(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


def widgets_in(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets_in(child)


class Gate:
    """Lets a contest do one chunk of 5 steps, and holds it there until it is opened.

    - `runner`: the module that runs the contest. `runs`: how many were begun.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, runner: ModuleType):
        self.reached, self.opened, self.runs = threading.Event(), threading.Event(), 0
        original = mk.experiments.compare

        def compare(*args: object, **options: object) -> Iterator:
            self.runs += 1
            for progress in original(*args, **options):
                yield progress
                self.reached.set()
                assert self.opened.wait(60)

        monkeypatch.setattr(runner, "EVERY", 5)
        monkeypatch.setattr(mk.experiments, "compare", compare)


class Compilations:
    """How many programs XLA has compiled since the tests began."""

    count = 0

    @classmethod
    def listen(cls, event: str, *_: object, **__: object) -> None:
        cls.count += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(Compilations.listen)
