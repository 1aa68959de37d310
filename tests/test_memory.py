"""What `release_memory` forgets, and what it does not."""

import jax
import jax.numpy as jnp

import macrokit as mk


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
