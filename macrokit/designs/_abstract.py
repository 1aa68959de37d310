import abc
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from .._types import AnyArray, Key, Sites, State, Weights
from ..systems import AbstractSystem

# What is summed over sites, any number of sums at once.
Values = Float[AnyArray, "sites quantities"]


class AbstractDesign(eqx.Module):
    """How the sites of one snapshot are drawn. - `distinct`: no site is drawn twice."""

    distinct: ClassVar[bool] = True

    @abc.abstractmethod
    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        """`number` sites of state `x`, and the weight w of each, with E Σ w a = Σ a."""

    @abc.abstractmethod
    def inclusion(self, system: AbstractSystem, x: State, number: int) -> Float[Array, " sites"]:
        """πᵢ, the probability that site i is among the `number` drawn."""

    @abc.abstractmethod
    def variance(
        self, system: AbstractSystem, x: State, number: int, values: Values
    ) -> Float[Array, " quantities"]:
        """Var Σ w a over redraws, exactly, for quantities a that are known on all sites."""
