import os
from typing import TypeVar

T = TypeVar("T")

_NAMES = ("fast", "default", "full")


def size(*, fast: T, default: T, full: T) -> T:
    """One of three, chosen by the environment variable MACROKIT_SIZE = fast | default | full.

    Fast is for continuous integration, default for a class, full for leisure. MACROKIT_FAST=1
    means fast.
    """
    name = os.environ.get("MACROKIT_SIZE") or "default"
    if os.environ.get("MACROKIT_FAST") == "1":
        name = "fast"
    if name not in _NAMES:
        raise ValueError(f"MACROKIT_SIZE must be one of {_NAMES}, but it is {name!r}.")
    return dict(zip(_NAMES, (fast, default, full), strict=True))[name]
