from collections.abc import Callable

import jax
from jaxtyping import Array, Float

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem
from ._abstract import AbstractDesign, Values


class ProportionalToSize(AbstractDesign):
    """`number` independent draws with probabilities pᵢ ∝ size(x)ᵢ, weights 1/(n pᵢ).

    πᵢ = 1 − (1 − pᵢ)ⁿ and Var = (Σ a²/p − (Σ a)²)/n (Hansen & Hurwitz 1943): good where the size
    is nearly proportional to |a|, bad where it is small and a is not.

    - `size`: a cheap positive number for each site, from the state and never from a force, for
      example `closure.site_norms`, the norms |Jᵢ| of the encoder's Jacobian.

    Raises `ValueError` when it is asked to draw without a size.
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
        probability = self.probability(x)[:, None]
        away = values / probability - values.sum(axis=0, keepdims=True)
        return (probability * away**2).sum(axis=0) / number

    def probability(self, x: State) -> Float[Array, " sites"]:
        """pᵢ, the chance of site i at each draw."""
        if self.size is None:
            raise ValueError(
                "ProportionalToSize needs a size for each site, but got none. Pass a function of "
                "the state, for example `ProportionalToSize(closure.site_norms)`."
            )
        size = self.size(x)
        return size / size.sum()
