import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import AnyArray, State
from ._abstract import AbstractSystem


class AbstractAtoms(AbstractSystem):
    """n atoms of mass 1 in a periodic cube of side L, whoever computes their forces.

    A site is an atom; x is (n, 6), its position r, which goes on across the border of the box, and
    its velocity v. dr/dt = v costs nothing. Observable: the temperature T = Σ|v|²/(3(n − 1)).
    """

    atoms: eqx.AbstractVar[int]
    box: eqx.AbstractVar[float]

    @property
    def num_sites(self) -> int:
        return self.atoms

    @property
    def num_channels(self) -> int:
        return 6

    @property
    def observable_names(self) -> tuple[str, ...]:
        return ("temperature",)

    @property
    def free_channels(self) -> tuple[int, ...]:
        return (0, 1, 2)

    def free_force(self, x: State) -> Float[Array, "sites 3"]:
        """dr/dt = v."""
        return x[:, 3:]

    def positions(self, x: Float[AnyArray, "sites channels"]) -> Float[AnyArray, "sites 3"]:
        """Inside the box."""
        return x[:, :3] % self.box

    def observable(self, x: Float[AnyArray, "sites channels"]) -> Float[Array, "1"]:
        """T of atoms whose momenta add to nothing, as LAMMPS defines it."""
        return (jnp.asarray(x)[:, 3:] ** 2).sum()[None] / (3 * (self.atoms - 1))
