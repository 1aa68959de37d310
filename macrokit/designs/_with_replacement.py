import jax
import jax.numpy as jnp

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem
from ._abstract import AbstractDesign


class WithReplacement(AbstractDesign):
    """`number` independent draws, each site equally likely; for parity with the released code.

    A site drawn k times appears k times with weight sites / number each (Hansen & Hurwitz 1943),
    so sums stay unbiased; its force is computed, and paid for, once. It never beats drawing
    without replacement.
    """

    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        total = system.num_sites
        sites = jax.random.randint(key, (number,), 0, total)
        return sites, jnp.full(number, total / number)
