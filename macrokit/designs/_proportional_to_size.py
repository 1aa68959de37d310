from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem
from ._abstract import AbstractDesign, Values


class ProportionalToSize(AbstractDesign):
    """`number` independent draws with probabilities pᵢ ∝ size(x)ᵢ, weights 1/(n pᵢ).

    πᵢ = 1 − (1 − pᵢ)ⁿ and Var = (Σ a²/p − (Σ a)²)/n (Hansen & Hurwitz 1943): good where the size
    is nearly proportional to |a|, bad where it is small and a is not.

    - `size`: a cheap number for each site, from the state and never from a force, for example
      `closure.site_norms`, the norms |Jᵢ| of the encoder's Jacobian. It may be zero only where
      a is: such a site is never drawn.

    Raises `ValueError` when it is asked to draw without a size, and an error when sizes are
    negative, not finite, or all zero.
    """

    distinct = False

    size: Callable[[State], Float[Array, " sites"]] | None = None

    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        probability = self.probability(x)
        sites = jax.random.choice(key, len(probability), (number,), p=probability)
        return sites, 1 / (number * probability[sites])

    def inclusion(self, system: AbstractSystem, x: State, number: int) -> Float[Array, " sites"]:
        return 1 - (1 - self.probability(x)) ** number

    def variance(
        self, system: AbstractSystem, x: State, number: int, values: Values
    ) -> Float[Array, " quantities"]:
        p = self.probability(x)[:, None]
        total = values.sum(axis=0, keepdims=True)
        away = jnp.where(p > 0, values / jnp.where(p > 0, p, 1) - total, 0)
        lost = ((p == 0) & (values != 0)).any(axis=0)
        return jnp.where(lost, jnp.inf, (p * away**2).sum(axis=0) / number)

    def probability(self, x: State) -> Float[Array, " sites"]:
        """pᵢ, the chance of site i at each draw."""
        if self.size is None:
            raise ValueError(
                "ProportionalToSize needs a size for each site, but got none. Pass a function of "
                "the state, for example `ProportionalToSize(closure.site_norms)`."
            )
        size = self.size(x)
        total = size.sum()
        size = eqx.error_if(
            size,
            ~(jnp.isfinite(total) & (total > 0) & (size >= 0).all()),
            "The sizes of the sites must be finite, none of them negative and not all zero. Take "
            "the absolute value, for example `ProportionalToSize(closure.site_norms)`.",
        )
        return size / total
