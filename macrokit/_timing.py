"""What a force, a neighbour list and an encoding cost here, in seconds."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ._closure import Closure
from ._sampling import Snapshots, forces_at
from ._types import AnyArray
from .estimators import Difference, Lifted, label
from .systems import AbstractHostSystem, AbstractSystem

# Of large systems fewer states are timed; numbers in a block of states that are labelled together.
_NUMBERS, _BLOCK = 1 << 21, 1 << 24


def measured_seconds(
    system: AbstractSystem, closure: Closure, snapshots: Snapshots, number: int
) -> dict[str, float]:
    """Measured on the pilot states: of a site's force, of a neighbour list where an engine outside
    JAX has one, and of an encoding."""
    snapshots = snapshots[: max(1, _NUMBERS // snapshots.x[0].size)]
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
        # As `sample` computes them: from bare positions, or from a list that is made for them.
        neighbours = 0.0
        whole, few = (_timed(lambda s=s: forces_at(system, x, s)) for s in (sites, sites[:, :1]))
        force = max(whole - few, 0.1 * whole) / (count * (total - 1))
    part = _with_sites(snapshots, number)
    encoding = _timed(lambda: label(Lifted(), closure, part, spread=1.0).b) / count
    return {"force": force, "neighbours": neighbours, "encoding": encoding}


def snapshot_seconds(
    system: AbstractSystem,
    closure: Closure,
    x: Float[AnyArray, "sites channels"],
    sites: Int[AnyArray, " drawn"],
) -> dict[str, float]:
    """What one snapshot costs here, part by part, in seconds: the "force" on the chosen sites from
    `x` alone; a neighbour "list", and the "force, list in hand", of systems that have lists; and
    the "encoding", with J, M and the label, of one among many."""
    x, sites = jnp.asarray(x), jnp.asarray(sites)
    at = eqx.filter_jit(lambda x, s, n: system.force_at(x, s, neighbours=n))
    listed = eqx.filter_jit(lambda x: system.neighbours(x))
    neighbours = listed(x)
    force = at(x, sites, None)
    taken = {"force": _timed(lambda: at(x, sites, None))}
    if neighbours is not None:
        taken["list"] = _timed(lambda: listed(x))
        taken["force, list in hand"] = _timed(lambda: at(x, sites, neighbours))
    free = system.free_channels
    known = system.free_force(x)[None] if free else None
    # In a block, for which some things are made once.
    count = max(1, min(50, _BLOCK // x.size))
    arrays = (x[None], sites[None], force[None], known)
    x, sites, force, known = (None if a is None else jnp.repeat(a, count, axis=0) for a in arrays)
    block = Snapshots(x, sites, force, free=free, known=known)
    taken["encoding"] = _timed(lambda: label(Difference(), closure, block, spread=1.0).b) / count
    return taken


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
