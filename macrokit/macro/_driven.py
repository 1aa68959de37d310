from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Key, Macro
from ._abstract import AbstractMacro, Guarantee


class Driven(AbstractMacro):
    """G(z) = (G₁(z₁), H(z₁)) for z = (z₁, z₂): the leading variables z₁ evolve by themselves, by
    any field G₁, and drive the others, which act on nothing. H is a tanh network.

    Many variables explain the force well, so that its estimates from a few sites are not noisy; few
    of them are needed to know where the system is. What drives nothing spoils nothing: errors in z₂
    do not come back into z₁ and the observables, which are the first of them.

    - `dim`: d. - `leading`: how many variables z₁ has. - `width`: hidden units.
    - `field`: what G₁ is, called as `field(leading, width, key=key)`.

    Source: Haken 1977, the slaving principle, for leading and driven variables.
    """

    field: AbstractMacro
    follower: eqx.nn.MLP
    dim: int

    def __init__(
        self,
        dim: int,
        leading: int,
        width: int = 32,
        *,
        field: Callable[..., AbstractMacro],
        key: Key,
    ):
        if not 1 <= leading < dim:
            raise ValueError(
                f"Of {dim} variables 1 to {dim - 1} can lead, but got leading={leading}. Where all "
                "of them do, take the field itself."
            )
        field_key, follower_key = jax.random.split(key)
        self.dim = dim
        self.field = field(leading, width, key=field_key)
        self.follower = eqx.nn.MLP(leading, dim - leading, width, 2, jax.nn.tanh, key=follower_key)

    @property
    def leading(self) -> int:
        return self.field.dim

    def __call__(self, z: Macro) -> Macro:
        leading = z[: self.leading]
        return jnp.concatenate([self.field(leading), self.follower(leading)])

    def guarantee(self) -> Guarantee:
        """Of the leading variables."""
        holds, sentence = self.field.guarantee()
        return Guarantee(holds, f"{sentence} (of the {self.leading} leading variables)")

    def violations(self, z: Macro, rate: Macro) -> dict[str, Float[Array, ""]]:
        """Those of the leading variables."""
        return self.field.violations(z[: self.leading], rate[: self.leading])
