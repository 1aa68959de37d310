"""Threads for work that XLA itself does not spread over the cores of a CPU."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax

Part = TypeVar("Part")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores of a CPU this process may use; one on an accelerator, parallel in itself."""
    if jax.default_backend() != "cpu":
        return 1
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def equal_groups(count: int) -> int:
    """Into how many equal groups `count` pieces of work are split: one for each core, or fewer."""
    return largest_divisor(count, cores())


def largest_divisor(count: int, limit: int) -> int:
    """The largest number up to `limit` that divides `count`."""
    return next(n for n in range(max(1, min(limit, count)), 0, -1) if count % n == 0)


def in_threads(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Any]:
    """`work` on each part, as many at a time as there are cores; what one raises is raised."""
    double = jax.config.jax_enable_x64  # belongs to a thread, so it is handed on

    def one(part: Part) -> Any:
        with jax.enable_x64(double):
            return jax.block_until_ready(work(part))

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(one, parts))
