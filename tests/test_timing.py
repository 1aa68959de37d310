"""The clock of the gauge: a slow engine and a slow neighbour list are found to be slow."""

import time

import jax
import numpy as np
from catalogue import SYSTEMS, Ring, closure, state, states

import macrokit as mk
from macrokit._timing import measured_seconds, snapshot_seconds


class Slow(mk.systems.HostSystem):
    """An engine that takes 2 ms a state, and 10 ms for a neighbour list."""

    def neighbours(self, x):
        time.sleep(0.01)


def slow_force(x: np.ndarray, sites: np.ndarray) -> np.ndarray:
    time.sleep(0.002)
    return x[sites]


def test_a_slow_engine() -> None:
    engine = Slow(slow_force, lambda x: x.mean(axis=0), num_sites=10)
    bought = mk.sample(engine, states(engine, 4), key=jax.random.key(0))
    seconds = measured_seconds(engine, closure(engine, learned=3), bought, 5)
    assert 0.0002 <= seconds["force"] < 0.001
    assert 0.01 <= seconds["neighbours"] < 0.05
    assert seconds["encoding"] > 0


def test_a_fast_one_without_neighbour_lists() -> None:
    ring = Ring()
    bought = mk.sample(ring, states(ring, 50), key=jax.random.key(0))
    seconds = measured_seconds(ring, closure(ring), bought, 6)
    assert seconds["neighbours"] == 0
    assert 0 < seconds["force"] < 1e-4
    assert 0 < seconds["encoding"] < 1e-2


def test_a_snapshot_part_by_part() -> None:
    parts = {}
    for system in (Ring(), SYSTEMS["lennard-jones"]()):
        x = np.asarray(state(system))
        parts[type(system)] = snapshot_seconds(system, closure(system), x, np.array([0, 3, 7]))
        assert all(0 < seconds < 0.1 for seconds in parts[type(system)].values())
    assert parts[Ring].keys() == {"force", "encoding"}
    assert parts[mk.systems.LennardJones].keys() == {
        "force", "list", "force, list in hand", "encoding"
    }  # fmt: skip
