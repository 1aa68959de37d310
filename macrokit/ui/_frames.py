"""Stored frames as pictures: a slider through time, and a button that plays them."""

from collections.abc import Callable

import ipywidgets as widgets
import numpy as np
from jaxtyping import Float

from .._types import AnyArray
from ._display import column, control

SIZE = 280  # pixels of a side

# From the number of a frame and the angle it is seen from, in degrees, to its PNG.
Picture = Callable[[int, float], bytes]


class Frames:
    """One picture, and beside it a slider; sliding computes nothing.

    - `turns`: whether there is an angle to see it from, and a slider for it.
    """

    def __init__(self, *, turns: bool = False):
        self._name, self._note = "", ""
        self._picture: Picture = lambda number, turn: b""
        self._times = np.zeros(1)
        layout = widgets.Layout(width=f"{SIZE}px", height=f"{SIZE}px")
        self.image = widgets.Image(format="png", layout=layout)
        self.title = widgets.HTML()
        self.slider = control(
            widgets.IntSlider, "frame", "Slide through the stored frames", min=0, max=0
        )
        self.turn = control(
            widgets.IntSlider, "turn", "Look from another side (degrees)", min=0, max=90, value=30
        )
        self.play = widgets.Play(
            min=0, max=0, interval=80, description="play", tooltip="Play the stored frames"
        )
        widgets.jslink((self.play, "value"), (self.slider, "value"))
        sliders = (self.slider, self.turn) if turns else (self.slider,)
        for slider in sliders:
            slider.observe(lambda _: self._draw(), names="value")
        self.picture = column(self.title, self.image)
        self.knobs = column(self.play, *sliders)

    def show(
        self, name: str, picture: Picture, times: Float[AnyArray, " times"], note: str = ""
    ) -> None:
        """These frames; the slider stays at its share of the time.

        - `name`: of what is seen. - `note`: behind its time.
        """
        self._name, self._picture, self._note = name, picture, note
        last = max(1, self.slider.max)
        place = round(self.slider.value / last * (len(times) - 1))
        self._times = np.asarray(times)
        # Drawn once: by hand where the slider does not move.
        self.play.max = self.slider.max = len(times) - 1
        if self.slider.value == place:
            self._draw()
        self.slider.value = place

    def _draw(self) -> None:
        number = min(self.slider.value, len(self._times) - 1)
        self.image.value = self._picture(number, self.turn.value)
        time = f"t = {self._times[number]:.4g}"
        self.title.value = f"<b>{self._name}</b> at {time}{self._note}"
