"""Small pieces that all panels share: how they are displayed, rows, status lines, sliders."""

import html
from typing import Any

import ipywidgets as widgets

_COLOURS = {"good": "#009E73", "bad": "#D55E00", "plain": "inherit"}
LABEL_WIDTH = "105px"


class Panel:
    """Something with a `widget`, displayed when it is the last line of a cell and not before."""

    widget: widgets.Widget

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)


def row(*parts: widgets.Widget, **layout: Any) -> widgets.HBox:
    """Side by side, wrapping where the page is narrow."""
    chosen = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 14px"} | layout
    return widgets.HBox(list(parts), layout=widgets.Layout(**chosen))


def column(*parts: widgets.Widget, **layout: Any) -> widgets.VBox:
    """One below the other."""
    return widgets.VBox(list(parts), layout=widgets.Layout(**layout))


def status_text(message: str, mood: str = "plain") -> str:
    """A line that a screen reader announces when it changes; `mood` is plain, good or bad."""
    return (
        f'<div role="status" aria-live="polite" style="line-height:1.4;color:{_COLOURS[mood]}">'
        f"{html.escape(message)}</div>"
    )


def control(kind: type[widgets.Widget], description: str, help: str, **traits: Any) -> Any:
    """A slider with a legible description, a tooltip, and its value in text."""
    return kind(
        description=description,
        tooltip=help,
        style={"description_width": LABEL_WIDTH},
        layout=widgets.Layout(width="330px", margin="0 2px"),
        **traits,
    )


def button(description: str, help: str, icon: str, press: Any) -> widgets.Button:
    """A button with a word, a tooltip and an icon."""
    layout = widgets.Layout(width="auto", min_width="86px")
    made = widgets.Button(description=description, tooltip=help, icon=icon, layout=layout)
    made.on_click(lambda _: press())
    return made


def duration(seconds: float) -> str:
    """About how long, in words."""
    if not seconds < 90:
        return f"about {seconds / 60:.0f} min"
    return f"about {max(1, round(seconds))} s"
