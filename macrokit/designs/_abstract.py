import abc

import equinox as eqx

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem


class AbstractDesign(eqx.Module):
    """How the sites of one snapshot are drawn."""

    @abc.abstractmethod
    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        """`number` sites of state `x`, and the weight 1/π of each (E Σ weight·a = Σ a)."""
