"""The simulator panel: sliders for parameters and start, the field and its observables live."""

import dataclasses
import threading
from collections.abc import Callable, Mapping

import equinox as eqx
import ipywidgets as widgets
import jax
import jax.numpy as jnp
import numpy as np
import plotly.graph_objects as go
from jaxtyping import Array

from .. import Trajectories, simulate, systems
from ._display import LEFT, RIGHT, Panel, button, column, control, row, status_text
from ._figure import LiveFigure
from ._frames import SIZE, Frames
from ._picture import field_png
from ._scenes import scene

_IMAGE = (300, 120)


class Simulator(Panel):
    """Move a slider, see the simulation: the field in space and time, and its observables.

    - `system`: where the sliders start. - `duration`: T, in the system's time unit.
    - `figure`: a live figure to draw the observables in; without it the panel has its own.

    `trajectories`, `observables` (times, k) and `system` are those of the picture shown.
    """

    trajectories: Trajectories
    observables: np.ndarray

    def __init__(
        self,
        system: systems.AbstractSystem,
        *,
        duration: float | None = None,
        figure: LiveFigure | None = None,
    ):
        self._scene = scene(system)
        self._settings = self._scene.settings(system)
        self._settings |= {} if duration is None else {"duration": duration}
        self._lock = threading.RLock()
        self._marks: np.ndarray | None = None
        self.system = system
        how = self._scene
        self.live = figure
        if figure is None:
            self.live = LiveFigure(system.observable_names, unit=how.unit, limits=how.limits)
        # What a comparison expects from the start shown: learner → (members, times, k).
        self.predict: Callable[[], Mapping[str, np.ndarray]] = dict
        knobs = {**self._scene.parameters, **self._scene.starts}
        self.first = {name: knob.value for name, knob in knobs.items()}
        self.first |= {name: float(getattr(system, name)) for name in self._scene.parameters}
        self.sliders = {
            name: control(
                widgets.FloatSlider,
                knob.label,
                knob.help,
                min=knob.low,
                max=knob.high,
                step=knob.step,
                value=self.first[name],
                readout_format=".2f",
            )
            for name, knob in knobs.items()
        }
        self.reset_button = button(
            "Reset sliders", "Back to the first parameters and start", self.reset
        )
        self.status = widgets.HTML()
        self._images: dict[str, widgets.Image] = {}
        self.frames = None if how.pictures is None else Frames(turns=how.turns)
        # Of fields in space and time: which time is pointed at.
        self.moment = control(
            widgets.IntSlider, "frame", "Slide through the stored frames", min=0, max=0
        )
        self.caption = widgets.HTML()
        self.simulate()
        self.moment.observe(lambda _: self._draw_fields(), names="value")
        self.moment.value = self.moment.max // 20  # where there is something to see
        for slider in self.sliders.values():
            slider.observe(self._moved, names="value")
        self.status.value = status_text(self._sentence())
        self.knobs = column(*self.sliders.values(), row(self.reset_button), self.status, width=LEFT)
        self.pictures = self._arranged()
        own = [self.live.widget] if figure is None else []
        right = column(self.pictures, *own, **RIGHT)
        self.widget = row(self.knobs, right, align_items="flex-start")

    @property
    def altered(self) -> bool:
        """Whether the system shown is another one than at first (its start does not matter)."""
        return any(
            not np.isclose(self.sliders[name].value, self.first[name])
            for name in self._scene.parameters
        )

    @property
    def times(self) -> np.ndarray:
        """Of the frames shown."""
        return np.asarray(self.trajectories.times)[: len(self.observables)]

    def mark(self, sites: np.ndarray | None) -> None:
        """Show these sites on the frames."""
        self._marks = sites
        self._draw_fields()

    def reset(self) -> None:
        """Put every slider back to where it was at first."""
        for name, value in self.first.items():
            self.sliders[name].value = value

    def simulate(self) -> None:
        """Simulate what the sliders say, and draw it. Raises `ValueError` and draws nothing when
        the time step is unstable."""
        values = {name: slider.value for name, slider in self.sliders.items()}
        parameters = {name: values[name] for name in self._scene.parameters}
        system = dataclasses.replace(self.system, **parameters)
        values = {name: jnp.float32(values[name]) for name in self._scene.starts}
        start = _start(system, self._scene.start, values)
        runs = simulate(system, start, **self._settings)
        with self._lock:
            self.system, self.trajectories = system, runs
            # Cut where it ends after all is computed, so that no length compiles anything anew.
            self.observables = np.asarray(_observe(system, runs.x))[0, : runs.lengths[0]]
            self._draw_fields()
            self.draw()

    def draw(self) -> None:
        """Draw the observables and what is predicted for them."""
        with self._lock:
            self.live.show_observables(self.times, self.observables, self.predict())

    def figure(self) -> go.Figure:
        """A plain figure of the observables shown now."""
        return self.live.static()

    def _moved(self, _: dict) -> None:
        try:
            self.simulate()
        except ValueError as error:
            self.status.value = status_text(
                f"{error} Shown is the last good run; move the slider back.", "bad"
            )
        else:
            self.status.value = status_text(self._sentence())

    def _sentence(self) -> str:
        end = float(self.times[-1])
        steps = round(end / self._settings["step"])
        return f"Simulated to T = {end:.4g} in {steps:,} steps."

    def _draw_fields(self) -> None:
        how, x = self._scene, self.trajectories.frames(0)
        if self.frames is not None:
            bought = "" if self._marks is None else f", {len(self._marks):,} {how.site} drawn"
            picture = how.pictures(self.system, x, self._marks)
            self.frames.show(how.name, picture, self.times, bought)
            return
        self.moment.max = len(x) - 1
        number, begin = self.moment.value, 0
        for name, field in how.fields(self.system, x).items():
            marks = self._marked(begin, field.shape[1])
            begin += field.shape[1]
            png = field_png(field.T, **self._colours, size=_IMAGE, marks=marks, dot=4, line=number)
            if name in self._images:
                self._images[name].value = png
            else:
                self._images[name] = _picture(png, "100%")
        drawn = "" if self._marks is None else f": {len(self._marks)} {how.site} drawn"
        self.caption.value = f"t = {float(self.trajectories.times[number]):.4g}{drawn}"

    @property
    def _colours(self) -> dict[str, float]:
        low, high = self._scene.span
        return {"low": low, "high": high}

    def _marked(self, begin: int, nodes: int) -> np.ndarray | None:
        """(node, frame) of the marked sites of one field, whose sites begin there."""
        if self._marks is None:
            return None
        own = self._marks[(self._marks >= begin) & (self._marks < begin + nodes)] - begin
        return np.stack([own, np.full_like(own, self.moment.value)], axis=1)

    def _arranged(self) -> widgets.Widget:
        if self.frames is not None:
            bar = [] if self._scene.span is None else [self._colour_bar(SIZE)]
            return row(self.frames.picture, *bar, self.frames.knobs, align_items="flex-end")
        pictures = [
            column(
                widgets.HTML(f"<b>{name}</b>: node ↑, time → {self._settings['duration']:g}"),
                image,
                flex="1 1 200px",
            )
            for name, image in self._images.items()
        ]
        bar = self._colour_bar(_IMAGE[1])
        fields = row(*pictures, bar, align_items="flex-end", flex_flow="row nowrap")
        return column(fields, row(self.moment, self.caption))

    def _colour_bar(self, height: int) -> widgets.Widget:
        low, high = self._scene.span
        ramp = np.tile(np.linspace(low, high, 128)[:, None], (1, 2))
        scale = _picture(field_png(ramp, **self._colours, size=(14, height)), "14px", height)
        words = (f"{high:g}", self._scene.quantity, f"{low:g}")
        labels = [widgets.HTML(text) for text in words]
        ends = column(*labels, height=f"{height}px", justify_content="space-between")
        return row(scale, ends, grid_gap="0 4px")


def _picture(png: bytes, width: str, height: int = _IMAGE[1]) -> widgets.Image:
    layout = widgets.Layout(width=width, height=f"{height}px")
    return widgets.Image(value=png, format="png", layout=layout)


@eqx.filter_jit
def _start(system: systems.AbstractSystem, start: Callable, values: Mapping[str, Array]) -> Array:
    return start(system, values)[None]


@eqx.filter_jit
def _observe(system: systems.AbstractSystem, x: Array) -> Array:
    return jax.vmap(jax.vmap(system.observable))(x)
