"""One state, its sites drawn again and again: what an estimator does, before any training."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._closure import Closure
from ._sampling import sample
from ._types import AnyArray, Key, Macro, State
from .designs import AbstractDesign
from .systems import AbstractSystem


@dataclasses.dataclass(frozen=True)
class Redraws:
    """Estimates of dz/dt at one state, over redraws of its sites.

    - `estimates`: ŷ of each redraw. - `truth`: y = J f, from all forces.
    - `variance`: Var(ŷ | x), as the design predicts it. - `sites`: those of the last redraw.
    """

    estimates: Float[np.ndarray, "redraws d"]
    truth: Float[np.ndarray, " d"]
    variance: Float[np.ndarray, " d"]
    sites: Int[np.ndarray, " drawn"]

    @property
    def deviation(self) -> Float[np.ndarray, " d"]:
        """√Var(ŷ | x)."""
        return np.sqrt(self.variance)

    @property
    def z(self) -> Float[np.ndarray, " d"]:
        """How many standard errors the mean of the estimates is from the truth."""
        error = self.estimates.std(axis=0) / np.sqrt(len(self.estimates))
        return (self.estimates.mean(axis=0) - self.truth) / np.maximum(error, 1e-30)


def redraw(
    system: AbstractSystem,
    closure: Closure,
    x: Float[AnyArray, "sites channels"],
    design: AbstractDesign,
    number: int,
    *,
    control: float = 1.0,
    count: int = 10_000,
    key: Key,
) -> Redraws:
    """Draw `number` sites of `x` `count` times, and estimate dz/dt from the forces on them.

    The difference estimator ŷ = g + J D_I (f − A g), unbiased for y = J f whatever g is. A model
    that is right, g = y, gives the noise of the lifted loss; one that knows nothing, g = 0, gives
    the direct estimator.

    - `control`: how much the model knows, g = control · y. - `count`: redraws.
    """
    total = system.num_sites
    if not 1 <= number <= total:
        raise ValueError(f"number must lie in 1 … {total}, the sites there are, but got {number}.")
    everything = sample(system, np.asarray(x)[None], key=key)
    paid = jnp.asarray(everything.paid)
    x, force = everything.x[0], everything.force[0]
    control = np.asarray(control, x.dtype)  # traced, so that a slider recompiles nothing
    rates, each, variance, sites, weights = _redraw(
        system, closure, design, number, x, force, paid, control, jax.random.split(key, count)
    )
    truth, each = np.asarray(rates, float), np.asarray(each, float)
    sites, weights = np.asarray(sites), np.asarray(weights, float)
    # ŷ is g, plus what is known of the rest on every site, plus the weighted sum over those drawn.
    drawn = np.stack([(weights * column[sites]).sum(axis=1) for column in each.T], axis=1)
    return Redraws(truth - each.sum(axis=0) + drawn, truth, np.asarray(variance, float), sites[-1])


@eqx.filter_jit
def _redraw(
    system: AbstractSystem,
    closure: Closure,
    design: AbstractDesign,
    number: int,
    x: State,
    force: State,
    paid: Float[AnyArray, " channels"],
    control: Float[AnyArray, ""] | float,
    keys: Array,
) -> tuple[Macro, Array, Macro, Array, Array]:
    rates = closure.velocity(x, force)
    residual = closure.residual(x, force, control * rates)
    each = jnp.einsum("dnc,nc,c->nd", closure.jacobian(x), residual, paid)
    sites, weights = jax.vmap(lambda key: design.draw(system, x, number, key=key))(keys)
    return rates, each, design.variance(system, x, number, each), sites, weights
