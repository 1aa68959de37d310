"""What tests of panels share: reading what a panel says and draws, counting compilations."""

from collections.abc import Iterator

import ipywidgets
import jax
import plotly.graph_objects as go


def said(widget: ipywidgets.HTML) -> str:
    return widget.value.partition(">")[2].removesuffix("</div>")


def lines(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


def widgets_in(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets_in(child)


class Compilations:
    """How many programs XLA has compiled since the tests began."""

    count = 0

    @classmethod
    def listen(cls, event: str, *_: object, **__: object) -> None:
        cls.count += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(Compilations.listen)
