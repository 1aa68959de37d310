import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import Key, Sites, State, Weights
from ..systems import AbstractSystem
from ._abstract import AbstractDesign, Values
from ._blocks import blocks


class Stratified(AbstractDesign):
    """One site from each of `number` blocks of sites of one kind that resemble each other.

    πᵢ = 1/N_s for the N_s sites of its block, and Var = Σ_s N_s² σ_s², σ_s² the variance of a
    within block s: what varies from block to block costs nothing.

    - `by`: blocks of sites that are near in space ("place"), or whose state is alike ("state"):
      where the force on a site follows from the state around it, alike states have alike forces.
    """

    by: str = "place"

    def __check_init__(self):
        if self.by not in ("place", "state"):
            raise ValueError(f'`by` must be "place" or "state", but got {self.by!r}.')

    def draw(
        self, system: AbstractSystem, x: State, number: int, *, key: Key
    ) -> tuple[Sites, Weights]:
        order, sizes = blocks(system, x, number, by=self.by)
        first = np.cumsum(sizes) - sizes
        chosen = first + jax.random.randint(key, (number,), 0, jnp.asarray(sizes))
        return jnp.asarray(order)[chosen], jnp.asarray(sizes, float)

    def inclusion(self, system: AbstractSystem, x: State, number: int) -> Float[Array, " sites"]:
        order, sizes = blocks(system, x, number, by=self.by)
        return jnp.zeros(len(order)).at[jnp.asarray(order)].set(np.repeat(1 / sizes, sizes))

    def variance(
        self, system: AbstractSystem, x: State, number: int, values: Values
    ) -> Float[Array, " quantities"]:
        order, sizes = blocks(system, x, number, by=self.by)
        block = np.repeat(np.arange(number), sizes)
        values = jnp.asarray(values)[jnp.asarray(order)]
        mean = jax.ops.segment_sum(values, block, number) / sizes[:, None]
        squares = jax.ops.segment_sum((values - mean[block]) ** 2, block, number)
        return (sizes[:, None] * squares).sum(axis=0)
