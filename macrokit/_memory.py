"""Memory on a small server: what compilation has left behind is given back."""

import ctypes
import gc
import os

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
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
