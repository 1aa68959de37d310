"""What `release_memory` forgets, and what it does not."""

import jax
import jax.numpy as jnp
import pytest

import macrokit as mk
from macrokit import _memory


def test_release_memory_forgets_programs_and_nothing_else() -> None:
    traces = []

    @jax.jit
    def double(x: jax.Array) -> jax.Array:
        traces.append(1)
        return 2 * x

    x = jnp.arange(3.0)
    double(x)
    before = double(x)
    assert len(traces) == 1
    mk.release_memory()
    assert (double(x) == before).all()
    assert len(traces) == 2


def test_keep_little_leaves_what_the_user_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    monkeypatch.setattr(_memory, "_of_glibc", lambda name: lambda *option: chosen.append(option))
    for name in ("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "131072")
    _memory.keep_little()
    assert chosen == [(-8, 2), (-1, 65_536)]


def test_keep_little_is_nothing_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "_of_glibc", lambda name: None)
    _memory.keep_little()
    _memory.trim_memory()
