"""Small pieces that all panels share: how they are displayed, rows, status lines, sliders."""

import copy
import html
import threading
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

_COLOURS = {"good": "#009E73", "bad": "#D55E00", "plain": "inherit"}
LEFT, _LABEL = "290px", "88px"
# What stands right of the controls takes the rest of the page, or goes below where it is narrow.
RIGHT = {"flex": "1 1 510px", "min_width": "0"}


class Panel:
    """Something with a `widget`, displayed when it is the last line of a cell and not before."""

    widget: widgets.Widget

    def _ipython_display_(self) -> None:
        from IPython.display import display

        _listen_in_subshell(self.widget)
        display(self.widget)

    def close(self) -> None:
        """Take the panel from the page and let go of its controls; ipywidgets would keep them, and
        with them what was learned, for as long as the kernel lives."""
        close(self.widget)


def _listen_in_subshell(widget: widgets.Widget) -> None:
    """Let what is pressed and moved be heard while other cells run.

    JupyterLab sends it to a subshell of the kernel, a thread of its own. ipykernel 7.4 sends it on
    to the shell from which the widget was last written to: the one that runs the cells, where it
    would wait until all of them are done.
    """
    comm = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
    for child in getattr(widget, "children", ()):
        _listen_in_subshell(child)


class Plot(go.FigureWidget):
    """A figure that a page which is opened anew finds as it is, and not as it began.

    Plotly sends what changes to the pages that are open, and keeps for others what there was when
    the figure was made.

    - `turn`: a lock for who draws: the thread of the controls and the worker's both do.
    """

    def __init__(self, figure: go.Figure):
        self._turn = threading.RLock()
        super().__init__(figure)
        self._config = {"responsive": True, "displaylogo": False}  # as wide as the page

    @property
    def turn(self) -> threading.RLock:
        return self._turn

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        with self._turn:
            if key is None and "_layout_obj" in vars(self):
                # Quietly: who is looking already has it.
                now = {"_widget_data": self._data, "_widget_layout": self._layout_obj._props}
                self._trait_values |= copy.deepcopy(now)
            return super().get_state(key, drop_defaults)


def row(*parts: widgets.Widget, **layout: Any) -> widgets.HBox:
    """Side by side, wrapping where the page is narrow."""
    chosen = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 14px"} | layout
    return widgets.HBox(list(parts), layout=widgets.Layout(**chosen))


def column(*parts: widgets.Widget, **layout: Any) -> widgets.VBox:
    """One below the other."""
    return widgets.VBox(list(parts), layout=widgets.Layout(**layout))


def status_text(message: str, mood: str = "plain") -> str:
    """A line that a screen reader announces when it changes; `mood` is plain, good or bad."""
    return status_html(html.escape(message), mood)


def status_html(markup: str, mood: str = "plain") -> str:
    """The same, of a line that is HTML already."""
    style = f"line-height:1.4;color:{_COLOURS[mood]}"
    return f'<div role="status" aria-live="polite" style="{style}">{markup}</div>'


def control(kind: type[widgets.Widget], description: str, help: str, **traits: Any) -> Any:
    """A slider with a legible description, a tooltip, and its value in text."""
    return kind(
        description=description,
        tooltip=help,
        style={"description_width": _LABEL},
        layout=widgets.Layout(width=f"calc({LEFT} - 4px)", margin="0 2px"),
        **traits,
    )


def button(description: str, help: str, press: Any) -> widgets.Button:
    """A button with a word and a tooltip."""
    layout = widgets.Layout(width="auto", margin="2px 0", padding="0 7px")
    made = widgets.Button(description=description, tooltip=help, layout=layout)
    made.on_click(lambda _: press())
    return made


def close(widget: widgets.Widget) -> None:
    """Forget a widget and all that is in it; ipywidgets holds on to whatever is not closed."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "style", None), widget.layout):
        if isinstance(part, widgets.DOMWidget):
            close(part)
        elif isinstance(part, widgets.Widget):  # of a plotly figure the layout is none
            part.close()
    widget.close()


def duration(seconds: float) -> str:
    """About how long, in words."""
    if not seconds < 90:
        return f"about {seconds / 60:.0f} min"
    return f"about {max(1, round(seconds))} s"
