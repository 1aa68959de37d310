"""Compact blocks of sites: what stratified and systematic designs have in common."""

from types import ModuleType

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from .._types import AnyArray, State
from ..systems import AbstractSystem


def blocks(
    system: AbstractSystem, x: State, number: int, *, by: str = "place"
) -> tuple[Int[AnyArray, " sites"], Int[np.ndarray, " blocks"]]:
    """Cut the sites into `number` blocks, each of one kind of site, whose sites are near in space.

    Or, with `by="state"`, alike in the numbers that the state has on them. Halves are cut again and
    again, along one axis after the other (a k-d tree), each in proportion to the blocks it is to
    hold, so that the blocks of a kind have nearly equal sizes. Returns the sites block after block,
    and the sizes of the blocks. The sizes never depend on the state; the order does where sites
    move (`system.positions`), and is found by JAX then, by NumPy on a grid.
    """
    positions = system.positions(x) if by == "place" else x
    xp: ModuleType = np if isinstance(positions, np.ndarray) else jnp
    kinds = np.asarray(system.site_kinds)
    sizes = np.unique(kinds, return_counts=True)[1]
    if len(sizes) > number:  # too few draws to have one of each kind
        sizes = np.array([len(kinds)])
    parts = list(zip(sizes.tolist(), _shares(sizes, number), strict=True))
    order = xp.asarray(np.argsort(kinds, kind="stable"))
    axis, axes = 0, positions.shape[1]
    while any(count > 1 for _, count in parts):
        if axes > 1 or axis == 0:  # along a single axis, the halves of what is sorted are sorted
            part = np.repeat(np.arange(len(parts)), [size for size, _ in parts])
            coordinate = positions[order, axis % axes]
            order = order[xp.lexsort((coordinate, xp.asarray(part)))]
        parts = [half for whole in parts for half in _halves(*whole)]
        axis += 1
    return order, np.array([size for size, _ in parts])


def _shares(sizes: np.ndarray, number: int) -> list[int]:
    """Blocks for each kind: at least one, no more than it has sites, else in proportion."""
    shares = np.ones(len(sizes), int)
    for _ in range(number - len(sizes)):
        shares[np.argmax(np.where(shares < sizes, sizes / shares, 0))] += 1
    return shares.tolist()


def _halves(size: int, count: int) -> list[tuple[int, int]]:
    if count == 1:
        return [(size, 1)]
    first = count // 2
    cut = min(max(round(size * first / count), first), size - (count - first))
    return [(cut, first), (size - cut, count - first)]
