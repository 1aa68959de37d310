"""Memory on a small server: what compilation has left behind is given back."""

import ctypes
import gc
import os
from collections.abc import Callable

import jax


def release_memory() -> None:
    """Forget every compiled program and give its memory back to the system.

    Compiled training steps and roll-outs stay in memory, 50 to 200 MB each, in case they are used
    again; a notebook that has moved on to other shapes does not need them, and a Binder server
    promises no more than 1 GB. Nothing is lost: what is used again is compiled again.
    """
    jax.clear_caches()
    gc.collect()
    trim_memory()


# Bytes by which memory may grow before compiled programs are let go of, and where it was then.
_ROOM = 300e6
_grown_from: float | None = None


def release_growth() -> None:
    """Forget compiled programs where memory has grown by 300 MB since that was last done.

    Panels ask for it before they compile for a new run: who tries one setting after the other does
    not come back to most of them. Outside Linux nothing happens.
    """
    global _grown_from
    now = resident()
    if now is None:
        return
    if _grown_from is None:
        _grown_from = now
    elif now > _grown_from + _ROOM:
        release_memory()
        _grown_from = resident()


def resident() -> float | None:
    """Bytes of this process in memory."""
    try:
        with open("/proc/self/statm") as said:
            return int(said.read().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))
    except OSError:
        return None


def trim_memory() -> None:
    """Give back what compilation has freed already; glibc keeps it, some 200 MB a training step.

    Elsewhere than under glibc nothing happens.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def keep_little() -> None:
    """Let threads share four heaps, and keep no block of 4 MB or more in one: compilation in many
    threads leaves holes in as many heaps, and data leave holes that glibc would keep.

    Two heaps, or a smaller limit, would keep less and train more slowly. What the user has set by
    MALLOC_ARENA_MAX or MALLOC_MMAP_THRESHOLD_ stays. Elsewhere than under glibc nothing happens.
    """
    choose = _of_glibc("mallopt")
    if choose is None:
        return
    for parameter, variable, value in (
        (-8, "MALLOC_ARENA_MAX", 4),
        (-3, "MALLOC_MMAP_THRESHOLD_", 4 << 20),
    ):
        if variable not in os.environ:
            choose(parameter, value)


def _of_glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
