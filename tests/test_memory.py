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


def test_programs_are_forgotten_where_memory_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = iter([1e9, 1.2e9, 1.4e9, 0.9e9, 1.1e9, 1.3e9, 1e9])
    released = []
    monkeypatch.setattr(_memory, "_ROOM", 300e6)
    monkeypatch.setattr(_memory, "_grown_from", None)
    monkeypatch.setattr(_memory, "resident", lambda: next(resident))
    monkeypatch.setattr(_memory, "release_memory", lambda: released.append(1))
    counts = []
    for _ in range(5):
        _memory.release_growth()
        counts.append(len(released))
    assert counts == [0, 0, 1, 1, 2]


def test_memory_is_measured_in_bytes() -> None:
    before = _memory.resident()
    if before is None:
        pytest.skip("this system does not say what is in memory")
    held = b"1" * 200_000_000
    assert 150e6 < _memory.resident() - before < 250e6
    del held


def test_where_it_cannot_be_measured_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "resident", lambda: None)
    monkeypatch.setattr(_memory, "release_memory", lambda: pytest.fail("released"))
    _memory.release_growth()


def test_keep_little_leaves_what_the_user_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    monkeypatch.setattr(_memory, "_of_glibc", lambda name: lambda *option: chosen.append(option))
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    _memory.keep_little()
    assert chosen == [(-8, 4), (-3, 4 << 20)]
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    _memory.keep_little()
    assert chosen[2:] == [(-3, 4 << 20)]
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    _memory.keep_little()
    assert len(chosen) == 3


def test_keep_little_is_nothing_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "_of_glibc", lambda name: None)
    _memory.keep_little()
    _memory.trim_memory()
