import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem
from ._abstract import AbstractDesign, Values


class WithReplacement(AbstractDesign):
    """`number` independent draws, each site equally likely; for parity with the released code.

    A site drawn k times appears k times with weight N/n each (Hansen & Hurwitz 1943), so sums stay
    unbiased; its force is computed, and paid for, once. πᵢ = 1 − (1 − 1/N)ⁿ, and
    Var = (N Σ a² − (Σ a)²)/n: it never beats drawing without replacement.
    """

    distinct = False

    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        total = system.num_sites
        sites = jax.random.randint(key, (number,), 0, total)
        return sites, jnp.full(number, total / number)

    def inclusion(self, system: AbstractSystem, x: State, number: int) -> Float[Array, " sites"]:
        total = system.num_sites
        return jnp.full(total, 1 - (1 - 1 / total) ** number)

    def variance(
        self, system: AbstractSystem, x: State, number: int, values: Values
    ) -> Float[Array, " quantities"]:
        return len(values) ** 2 * jnp.var(values, axis=0) / number
