import jax
import jax.numpy as jnp

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem
from ._abstract import AbstractDesign


class WithoutReplacement(AbstractDesign):
    """Every set of `number` distinct sites is equally likely: π_i = number / sites."""

    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        total = system.num_sites
        sites = jax.random.permutation(key, total)[:number]
        return sites, jnp.full(number, total / number)
