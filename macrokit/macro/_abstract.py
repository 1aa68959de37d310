import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Macro


class Guarantee(NamedTuple):
    """Whether anything holds along dz/dt = G(z) whatever the parameters, and what, or why not."""

    holds: bool
    sentence: str


class AbstractMacro(eqx.Module):
    """A field G on standardised macroscopic variables, dz/dt = G(z)."""

    dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, z: Macro) -> Macro:
        """G(z) for one z of shape (d,)."""

    @property
    def leading(self) -> int:
        """How many variables, the first ones, say where the system is: all, unless some are driven
        and act on nothing."""
        return self.dim

    def guarantee(self) -> Guarantee:
        """What holds along dz/dt = G(z); nothing, unless a field says otherwise."""
        return Guarantee(False, "the field has no structure")

    def violations(self, z: Macro, rate: Macro) -> dict[str, Float[Array, ""]]:
        """How far motion from z with velocity `rate` is from what the field is built for, by name;
        dimensionless, at most 0 where it is kept. The rate need not be G(z): a scaling changes it.
        """
        return {}


def check_positive(**values: float) -> None:
    """Raises `ValueError` unless all of them are: without it the structure is none."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(
                f"{name} must be positive, but got {value}. The field has its structure, and what "
                "it guarantees, for positive ones only."
            )


def cosine(a: Macro, b: Macro) -> Float[Array, ""]:
    """a·b/(|a||b|), 0 where one of them vanishes."""
    return ratio(a @ b, jnp.linalg.norm(a) * jnp.linalg.norm(b))


def ratio(part: Float[Array, ""], whole: Float[Array, ""]) -> Float[Array, ""]:
    """part/whole, 0 where the whole vanishes."""
    return jnp.where(whole == 0, 0, part / jnp.where(whole == 0, 1, whole))
