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


def trim_memory() -> None:
    """Give back what compilation has freed already; glibc keeps it, some 200 MB a training step.

    Elsewhere than under glibc nothing happens.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def keep_little() -> None:
    """Let threads share two heaps, and take blocks from 64 kB on from the system one by one: what
    is freed then goes back to it. Compilation in many threads otherwise leaves holes, a fifth of
    what a notebook of three models holds.

    What the user has set by glibc's environment variables stays. Elsewhere nothing happens.
    """
    options = {
        "MALLOC_ARENA_MAX": (-8, 2),
        "MALLOC_MMAP_THRESHOLD_": (-3, 1 << 16),
        "MALLOC_TRIM_THRESHOLD_": (-1, 1 << 16),
    }
    choose = _of_glibc("mallopt")
    for name, (option, value) in options.items():
        if choose is not None and name not in os.environ:
            choose(option, value)


def _of_glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
