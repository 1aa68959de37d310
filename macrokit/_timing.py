"""What a force, a neighbour list and an encoding cost here, in seconds."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ._closure import Closure
from ._sampling import Snapshots
from .estimators import Lifted, label
from .systems import AbstractHostSystem, AbstractSystem


def measured_seconds(
    system: AbstractSystem, closure: Closure, snapshots: Snapshots, number: int
) -> dict[str, float]:
    """Measured on the pilot states: of a site's force, of a neighbour list, and of an encoding."""
    x, sites = snapshots.x, snapshots.sites
    count, total = sites.shape
    if isinstance(system, AbstractHostSystem):
        states = np.asarray(x)
        everywhere = np.arange(total)
        neighbours = _timed(lambda: [system.neighbours(a) for a in states]) / count
        lists = [system.neighbours(a) for a in states]
        force = _timed(
            lambda: [
                system.force_at(a, everywhere, neighbours=own)
                for a, own in zip(states, lists, strict=True)
            ]
        ) / (count * total)
    else:
        listed = eqx.filter_jit(jax.vmap(lambda x: system.neighbours(x)))
        lists = listed(x)
        neighbours = 0.0 if lists is None else _timed(lambda: listed(x)) / count
        at = eqx.filter_jit(jax.vmap(lambda x, s, n: system.force_at(x, s, neighbours=n)))
        whole, few = (_timed(lambda s=s: at(x, s, lists)) for s in (sites, sites[:, :1]))
        force = max(whole - few, 0.1 * whole) / (count * (total - 1))
    part = _with_sites(snapshots, number)
    encoding = _timed(lambda: label(Lifted(), closure, part, spread=1.0).b) / count
    return {"force": force, "neighbours": neighbours, "encoding": encoding}


def _with_sites(snapshots: Snapshots, number: int) -> Snapshots:
    """The same states with the forces on their first sites only."""
    return Snapshots(
        snapshots.x,
        snapshots.sites[:, :number],
        snapshots.force[:, :number],
        free=snapshots.free,
        known=snapshots.known,
    )


def _timed(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of five runs, after one that compiles."""
    jax.block_until_ready(work())
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        jax.block_until_ready(work())
        taken.append(time.perf_counter() - begun)
    return min(taken)
