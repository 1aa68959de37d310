import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem
from ._abstract import AbstractDesign, Values


class WithoutReplacement(AbstractDesign):
    """Every set of `number` distinct sites is equally likely.

    πᵢ = n/N and Var = N² (1 − n/N) s²/n, s² the variance of a over the sites with N − 1 in the
    denominator (Cochran 1977, theorem 2.2).
    """

    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        total = system.num_sites
        sites = jax.random.permutation(key, total)[:number]
        return sites, jnp.full(number, total / number)

    def inclusion(self, system: AbstractSystem, x: State, number: int) -> Float[Array, " sites"]:
        return jnp.full(system.num_sites, number / system.num_sites)

    def variance(
        self, system: AbstractSystem, x: State, number: int, values: Values
    ) -> Float[Array, " quantities"]:
        total = len(values)
        spread = jnp.var(values, axis=0) * total / max(total - 1, 1)
        return total * (total - number) / number * spread
