"""Data of an experiment: trajectories to learn from, to choose by, and to be tested on."""

import dataclasses
import functools
import math

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from .._closure import Closure
from .._diagnostics import lift_defect
from .._rollout import TestSet
from .._sampling import spread
from .._simulation import Trajectories, simulate
from .._types import Key
from ..systems import AbstractSystem, PredatorPrey
from ._assets import pretrained
from ._closures import RECIPES, make_closure

_CLOSURE_STATES = 20_000


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A system with its closure and three disjoint sets of trajectories.

    Training trajectories are for snapshots; every choice is made on validation trajectories; test
    trajectories are looked at once.
    """

    name: str
    system: AbstractSystem
    closure: Closure
    training: Trajectories
    validation: Trajectories
    test: Trajectories
    closure_name: tuple[str, int] = ("shipped", 0)
    made: dict[tuple[str, int], Closure] = dataclasses.field(default_factory=dict, repr=False)

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
            count = min(_CLOSURE_STATES, math.prod(self.training.x.shape[:2]))
            states = spread(self.training, count, key=jax.random.key(seed))
            closure = make_closure(RECIPES[name], self.system, states, seed=seed)
            self.made[name, seed] = closure
        return dataclasses.replace(self, closure=closure, closure_name=(name, seed))

    @functools.cached_property
    def lift_defect(self) -> float:
        """η of the closure on validation states."""
        states = spread(self.validation, 1000, key=jax.random.key(0))
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


def _runs(system: PredatorPrey, count: int, method: str, key: Key) -> Trajectories:
    starts = _random_starts(system, jax.random.split(key, count))
    return simulate(system, starts, duration=30, step=0.01, every=10, method=method)


@eqx.filter_jit
def _random_starts(system: PredatorPrey, keys: Array) -> Array:
    return jax.vmap(lambda key: system.random_start(key=key))(keys)


def prefix(trajectories: Trajectories, count: int) -> np.ndarray:
    """The first `count` snapshots, trajectory after trajectory, as the released code takes them."""
    x = trajectories.x
    return np.asarray(x[: -(-count // x.shape[1])]).reshape(-1, *x.shape[2:])[:count]
