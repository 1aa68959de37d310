import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem
from ._abstract import AbstractDesign, Values
from ._blocks import blocks


class Systematic(AbstractDesign):
    """Every (N/n)-th site from a random start, in circles, along an order in space.

    πᵢ = n/N. There are at most N different samples, so the variance is known by going through them
    and cannot be estimated from one. A pattern in space with the period of the step is either
    missed or hit as a whole (Madow & Madow 1944).
    """

    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        order, _ = blocks(system, x, number)
        start = jax.random.randint(key, (), 0, len(order))
        sites = jnp.asarray(order)[(start + _steps(len(order), number)) % len(order)]
        return sites, jnp.full(number, len(order) / number)

    def inclusion(self, system: AbstractSystem, x: State, number: int) -> Float[Array, " sites"]:
        return jnp.full(system.num_sites, number / system.num_sites)

    def variance(
        self, system: AbstractSystem, x: State, number: int, values: Values
    ) -> Float[Array, " quantities"]:
        order, _ = blocks(system, x, number)
        total = len(order)
        values = jnp.asarray(values)[jnp.asarray(order)]
        # Where N/n is whole, the starts of the first step see every sample once.
        starts = total // number if total % number == 0 else total

        def deviation(start: Array) -> Array:
            chosen = (start + _steps(total, number)) % total
            return (values[chosen].sum(axis=0) * (total / number) - values.sum(axis=0)) ** 2

        batch = min(256, starts)
        return jax.lax.map(deviation, jnp.arange(starts), batch_size=batch).mean(axis=0)


def _steps(total: int, number: int) -> Int[np.ndarray, " drawn"]:
    return np.arange(number) * total // number
