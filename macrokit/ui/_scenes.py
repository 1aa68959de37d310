"""What the simulator panel knows about a system: its sliders, its starts, its fields."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import systems


@dataclasses.dataclass(frozen=True)
class Knob:
    """One slider. - `label`, `help`: what it says. - `low`, `high`, `step`, `value`: its range."""

    label: str
    help: str
    low: float
    high: float
    step: float
    value: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """How a system is simulated and shown.

    - `parameters`: constructor argument → slider. - `starts`: argument of `start` → slider.
    - `fields`: (times, sites, channels) → name → (times, nodes); `span`: their colour scale.
    - `duration`, `step`, `every`: of the simulation.
    """

    parameters: Mapping[str, Knob]
    starts: Mapping[str, Knob]
    fields: Callable[[Any, np.ndarray], dict[str, np.ndarray]]
    span: tuple[float, float]
    duration: float
    step: float
    every: int


def _prey_and_predator(system: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    return {"prey u": x[:, : system.nodes, 0], "predator v": x[:, system.nodes :, 0]}


SCENES: dict[type, Scene] = {
    systems.PredatorPrey: Scene(
        parameters={
            "growth": Knob("growth r", "How fast predators multiply (1/time)", 0.5, 6, 0.1, 3),
            "threshold": Knob(
                "threshold c", "Prey density at which predators hold their own", 0.1, 0.8, 0.02, 0.4
            ),
            "diffusion": Knob(
                "diffusion D", "How fast predators spread (node²/time)", 0, 80, 0.5, 1
            ),
        },
        starts={
            "amplitude": Knob(
                "amplitude a", "Height of the waves at the start", 0, 0.2, 0.01, 0.15
            ),
            "level": Knob("level b", "Mean prey density at the start", 0.4, 0.6, 0.01, 0.5),
        },
        fields=_prey_and_predator,
        span=(0.0, 1.0),
        duration=30.0,
        step=0.01,
        every=10,
    )
}


def scene(system: Any) -> Scene:
    """The scene of a system; `ValueError` where there is none."""
    try:
        return SCENES[type(system)]
    except KeyError:
        known = sorted(kind.__name__ for kind in SCENES)
        raise ValueError(
            f"The simulator panel knows {known}, but not {type(system).__name__}. "
            "Add a Scene for it to macrokit.ui.SCENES."
        ) from None
