"""Stored frames of a field in the plane: a slider through time, and a button that plays them."""

import ipywidgets as widgets
import numpy as np
from jaxtyping import Float, Int

from .._types import AnyArray
from ._display import column, control, row
from ._picture import field_png

SIZE = 300  # pixels of a side


class Frames:
    """One picture and a slider; sliding computes nothing.

    - `span`: the colour scale of the field.
    """

    def __init__(self, span: tuple[float, float]):
        self._name, self._span = "", span
        self._fields = np.zeros((1, 2, 2))
        self._times = np.zeros(1)
        self._marks: np.ndarray | None = None
        layout = widgets.Layout(width=f"{SIZE}px", height=f"{SIZE}px")
        self.image = widgets.Image(format="png", layout=layout)
        self.title = widgets.HTML()
        self.slider = control(
            widgets.IntSlider, "frame", "Slide through the stored frames", min=0, max=0
        )
        self.play = widgets.Play(
            min=0, max=0, interval=80, description="play", tooltip="Play the stored frames"
        )
        widgets.jslink((self.play, "value"), (self.slider, "value"))
        self.slider.observe(lambda _: self._draw(), names="value")
        self.widget = column(self.title, self.image, row(self.play), self.slider)

    def show(
        self,
        name: str,
        fields: Float[AnyArray, "times rows columns"],
        times: Float[AnyArray, " times"],
        marks: Int[AnyArray, "marks 2"] | None = None,
    ) -> None:
        """These frames; the slider stays at its share of the time.

        - `name`: of the field. - `marks`: nodes with a dot.
        """
        self._name = name
        last = max(1, self.slider.max)
        place = round(self.slider.value / last * (len(fields) - 1))
        self._fields, self._times, self._marks = np.asarray(fields), np.asarray(times), marks
        # Drawn once: by hand where the slider does not move.
        self.play.max = self.slider.max = len(fields) - 1
        if self.slider.value == place:
            self._draw()
        self.slider.value = place

    def _draw(self) -> None:
        number = min(self.slider.value, len(self._fields) - 1)
        low, high = self._span
        png = field_png(
            self._fields[number], low=low, high=high, size=(SIZE, SIZE), marks=self._marks
        )
        self.image.value = png
        dots = "" if self._marks is None else f", {len(self._marks):,} nodes drawn"
        self.title.value = f"<b>{self._name}</b> at t = {self._times[number]:.4g}{dots}"
