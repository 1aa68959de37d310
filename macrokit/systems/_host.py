from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import State
from ._abstract import AbstractSystem


class AbstractHostSystem(AbstractSystem):
    """A system whose forces are computed outside JAX, on NumPy arrays.

    `force`, `force_at` and `neighbours` take and return NumPy arrays, and are called outside jit
    for one state at a time. `observable`, and `free_force` where channels are free, are written in
    `jax.numpy`: the method needs the gradient of the one and traces the other.
    """


class HostSystem(AbstractHostSystem):
    """A system whose forces come from plain NumPy functions or an engine outside JAX.

    - `compute`: `compute(x, sites) -> force on those sites`, NumPy in, NumPy out, with x of shape
      (sites, channels), integer sites (drawn,), force (drawn, channels).
    - `observe`: z* = φ*(x), written in `jax.numpy` because the method needs its gradient.

    Forces are sampled outside jit, one state at a time, by the same calls as for any system.
    """

    compute: Callable[[np.ndarray, np.ndarray], np.ndarray]
    observe: Callable[[State], Float[Array, " observables"]]
    num_sites: int
    num_channels: int = 1

    def force(self, x: Any) -> Any:
        return self.force_at(x, np.arange(self.num_sites))

    def force_at(self, x: Any, sites: Any, *, neighbours: Any = None) -> Any:
        sites = np.asarray(sites)
        force = np.asarray(self.compute(np.asarray(x), sites))
        expected = (len(sites), self.num_channels)
        if force.shape != expected:
            raise ValueError(
                f"The force function must return one row per asked site, shape {expected}, but "
                f"returned {force.shape}. Return `(len(sites), channels)` in the order of `sites`."
            )
        return force

    def observable(self, x: State) -> Float[Array, " observables"]:
        return self.observe(jnp.asarray(x))
