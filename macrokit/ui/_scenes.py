"""What the simulator panel knows about a system: its sliders, its starts, its fields."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from .. import experiments, systems
from ._frames import SIZE, Picture
from ._picture import atoms_png, field_png


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

    - `parameters`: constructor argument → slider.
    - `starts`: slider of the start by name. - `start`: system, their values → state; by default
      they are arguments of the system's own `start`.
    - `settings`: system → arguments of `simulate`.
    - `fields`: (times, sites, channels) → name → (times, nodes), shown in space and time. Or, where
      they are shown frame by frame, `pictures`: system, (times, sites, channels), marked sites or
      None → picture of a frame; `name` of what is seen, and what a site is called.
    - `turns`: whether one may look from several sides.
    - `span`: of the colours, `quantity`: what they are; None where they mean nothing.
    - `unit`: axis of the observables. - `limits`: of it.
    """

    parameters: Mapping[str, Knob]
    starts: Mapping[str, Knob]
    settings: Callable[[Any], dict[str, Any]]
    unit: str
    fields: Callable[[Any, np.ndarray], dict[str, np.ndarray]] | None = None
    pictures: Callable[[Any, np.ndarray, np.ndarray | None], Picture] | None = None
    start: Callable[[Any, Mapping[str, Any]], Any] = lambda system, values: system.start(**values)
    name: str = ""
    site: str = "nodes"
    turns: bool = False
    span: tuple[float, float] | None = None
    quantity: str = ""
    limits: tuple[float, float] | None = None


def _prey_and_predator(system: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    return {"prey u": x[:, : system.nodes, 0], "predator v": x[:, system.nodes :, 0]}


def _phase(system: Any, x: np.ndarray, marked: np.ndarray | None) -> Picture:
    fields = x[..., 0].reshape(-1, *system.grid_shape)
    nodes = None if marked is None else np.stack(np.divmod(marked, system.grid), axis=1)
    size = (SIZE, SIZE)
    return lambda number, _: field_png(fields[number], low=-1, high=1, size=size, marks=nodes)


def _atoms(system: Any, x: np.ndarray, marked: np.ndarray | None) -> Picture:
    return lambda number, turn: atoms_png(
        x[number, :, :3], system.box, turn=turn, size=SIZE, marked=marked
    )


def _heated(system: Any, values: Mapping[str, Any]) -> Any:
    """The paper's start at another temperature; of another number of atoms, a relaxed one."""
    if system.atoms == 800:
        r, v = experiments.lennard_jones_start()
    else:
        with jax.ensure_compile_time_eval():  # relaxed once, and not whenever the slider moves
            r = system.placement(key=jax.random.key(0))
            v = system.velocities(key=jax.random.key(1))
    return system.start(r, v, values["temperature"])


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
        settings=lambda _: {"duration": 30.0, "step": 0.01, "every": 10},
        fields=_prey_and_predator,
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
        pictures=_phase,
        name="phase u",
        span=(-1.0, 1.0),
        quantity="u",
        unit="free energy (1)",
    ),
    systems.LennardJones: Scene(
        parameters={},
        starts={
            "temperature": Knob(
                "T at the start", "All velocities are scaled to this temperature", 0.5, 1.5, 0.05, 1
            )
        },
        start=_heated,
        settings=lambda _: {"duration": 0.25, "step": 1e-3, "method": "velocity-verlet"},
        pictures=_atoms,
        name="atoms",
        site="atoms",
        turns=True,
        unit="temperature (ε/k)",
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
