"""What the simulator panel knows about a system: its sliders, its starts, its fields."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import experiments, systems


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
    - `settings`: system → arguments of `simulate`.
    - `fields`: (times, sites, channels) → name → (times, nodes), shown in space and time; or, where
      `plane`, (times, rows, columns), shown frame by frame. - `span`: their colour scale.
    - `quantity`, `unit`: what the colours are, and the axis of the observables. - `limits`: of it.
    """

    parameters: Mapping[str, Knob]
    starts: Mapping[str, Knob]
    settings: Callable[[Any], dict[str, Any]]
    fields: Callable[[Any, np.ndarray], dict[str, np.ndarray]]
    span: tuple[float, float]
    quantity: str
    unit: str
    limits: tuple[float, float] | None = None
    plane: bool = False


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
        settings=lambda _: {"duration": 30.0, "step": 0.01, "every": 10},
        span=(0.0, 1.0),
        quantity="density",
        unit="density (1)",
        limits=(0.0, 1.0),
    ),
    systems.AllenCahn: Scene(
        parameters={},
        starts={
            "outer": Knob(
                "outer r₁", "Outer radius of the ring at the start", 0.25, 0.45, 0.01, 0.36
            ),
            "inner": Knob("inner r₂", "Radius of the hole at the start", 0.05, 0.2, 0.01, 0.12),
        },
        settings=experiments.allen_cahn_settings,
        fields=lambda system, x: {"phase u": x[..., 0].reshape(-1, system.grid, system.grid)},
        span=(-1.0, 1.0),
        quantity="u",
        unit="free energy (1)",
        plane=True,
    ),
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
