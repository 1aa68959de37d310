"""Data of an experiment: trajectories to learn from, to choose by, and to be tested on."""

import dataclasses
import functools

import jax
import numpy as np

from .._rollout import TestSet
from .._sampling import Trajectories, simulate
from .._types import Key
from ..systems import AbstractSystem, PredatorPrey
from ._assets import pretrained


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A system with its closure and three disjoint sets of trajectories.

    Training trajectories are for snapshots; every choice is made on validation trajectories; test
    trajectories are looked at once.
    """

    name: str
    system: AbstractSystem
    closure: object
    training: Trajectories
    validation: Trajectories
    test: Trajectories

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
    starts = jax.vmap(lambda k: system.random_start(key=k))(jax.random.split(key, count))
    return simulate(system, starts, duration=30, step=0.01, every=10, method=method)


def prefix(trajectories: Trajectories, count: int) -> np.ndarray:
    """The first `count` snapshots, trajectory after trajectory, as the released code takes them."""
    x = trajectories.x
    return np.asarray(x[: -(-count // x.shape[1])]).reshape(-1, *x.shape[2:])[:count]
