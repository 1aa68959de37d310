import abc

import equinox as eqx

from .._types import Macro


class AbstractMacro(eqx.Module):
    """A field G on standardised macroscopic variables, dz/dt = G(z)."""

    dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, z: Macro) -> Macro:
        """G(z) for one z of shape (d,)."""
