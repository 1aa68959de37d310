import abc
from typing import ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

from .._types import Macro
from ._abstract import AbstractMacro


class AbstractScaling(eqx.Module):
    """Turns a field G on standardised variables into g(z) in the units of z.

    Built from four vectors, all estimated from forces that were paid for: the mean and standard
    deviation of z (`centre`, `spread`) and of dz/dt (`mean_rate`, `rate`).

    - `keeps_structure`: whether what a field guarantees along G holds along g too.
    """

    keeps_structure: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def __call__(self, field: AbstractMacro, z: Macro) -> Macro:
        """g(z) from G."""


class Structured(AbstractScaling):
    """g(z) = (σ/τ) ⊙ G((z − μ)/σ), with one time τ for all variables.

    A change of coordinates and of the unit of time: V((z − μ)/σ) decays along g whenever V decays
    along G, so OnsagerNet keeps its guarantee; so does GFINN, with E((z − μ)/σ) conserved and
    S((z − μ)/σ) never falling. τ is chosen so that σ⁻¹ dz/dt τ has unit mean square.
    """

    keeps_structure: ClassVar[bool] = True

    centre: Float[Array, " d"]
    spread: Float[Array, " d"]
    time: Float[Array, ""]

    def __init__(self, centre: Array, spread: Array, mean_rate: Array, rate: Array):
        self.centre, self.spread = centre, spread
        relative = (rate**2 + mean_rate**2) / spread**2
        self.time = relative.mean() ** -0.5

    def __call__(self, field: AbstractMacro, z: Macro) -> Macro:
        # Statistics of the data, not parameters: no gradient, no optimiser state that matters.
        centre, spread, time = jax.lax.stop_gradient((self.centre, self.spread, self.time))
        return spread / time * field((z - centre) / spread)


class Affine(AbstractScaling):
    """g(z) = σ_t ⊙ G((z − μ)/σ) + μ_t, the released code's scaling, for parity.

    The shift μ_t and the unequal scales destroy what OnsagerNet and GFINN guarantee for G.
    """

    keeps_structure: ClassVar[bool] = False

    centre: Float[Array, " d"]
    spread: Float[Array, " d"]
    mean_rate: Float[Array, " d"]
    rate: Float[Array, " d"]

    def __call__(self, field: AbstractMacro, z: Macro) -> Macro:
        centre, spread, mean_rate, rate = jax.lax.stop_gradient(
            (self.centre, self.spread, self.mean_rate, self.rate)
        )
        return rate * field((z - centre) / spread) + mean_rate
