from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._types import DrawnForce, Key, Sites, State
from ._abstract import AbstractSystem


def _as_float(value: float | Array) -> Array:
    """A slider may say 3 where it means 3.0; both must run the same compiled code."""
    return jnp.asarray(1.0 * value)


class PredatorPrey(AbstractSystem):
    """Prey u and predator v on a line of nodes:

        uₜ = u(1 − u − v),   vₜ = r v(u − c) + D δ²v,

    with δ²v = v₍ᵢ₊₁₎ − 2vᵢ + v₍ᵢ₋₁₎ at unit spacing, replicated at both ends (no flux); prey do not
    diffuse. A site is one coordinate: sites 0 … n−1 are prey, n … 2n−1 predators; x is (2n, 1).
    Observables: mean prey and mean predator.

    - `nodes`: n, grid nodes on the line.
    - `growth`: r = 3, the predators' rate (1/time).
    - `threshold`: c = 0.4, the prey density at which predators hold their own.
    - `diffusion`: D = 1, predator diffusion (node²/time).

    Source: Chen & Li 2024, eq. 13, with the parameters of their released code.
    """

    growth: Float[Array, ""] = eqx.field(converter=_as_float, default=3.0)
    threshold: Float[Array, ""] = eqx.field(converter=_as_float, default=0.4)
    diffusion: Float[Array, ""] = eqx.field(converter=_as_float, default=1.0)
    nodes: int = 50

    def __check_init__(self):
        if self.nodes < 2:
            raise ValueError(f"PredatorPrey needs at least 2 nodes, but got nodes={self.nodes}.")

    @property
    def num_sites(self) -> int:
        return 2 * self.nodes

    @property
    def num_channels(self) -> int:
        return 1

    @property
    def observable_names(self) -> tuple[str, ...]:
        return ("mean prey", "mean predator")

    @property
    def site_positions(self) -> Float[np.ndarray, "sites 1"]:
        """The node of each site."""
        return np.tile(np.arange(self.nodes, dtype=float), 2)[:, None]

    @property
    def site_kinds(self) -> Int[np.ndarray, " sites"]:
        """0 is prey, 1 is predator."""
        return np.repeat([0, 1], self.nodes)

    @property
    def spectral_bound(self) -> float:
        """4D from δ², plus the reaction's largest rates for 0 ≤ u, v ≤ 1.2 (not sharp)."""
        threshold = float(self.threshold)
        reaction = max(2.6, float(self.growth) * max(1.2 - threshold, threshold, 1.2))
        return 4 * float(self.diffusion) + reaction

    def start(self, amplitude: float | Array, level: float | Array) -> State:
        """x₀ with u = b + a cos 5πs, v = 1 − u on s = (i + ½)/n; a `amplitude`, b `level`."""
        s = (jnp.arange(self.nodes) + 0.5) / self.nodes
        u = level + amplitude * jnp.cos(5 * jnp.pi * s)
        return jnp.concatenate([u, 1 - u])[:, None]

    def random_start(self, *, key: Key) -> State:
        """The paper's starts: a ~ U(0, 0.2), b ~ U(0.4, 0.6)."""
        amplitude, level = jax.random.uniform(key, (2,))
        return self.start(0.2 * amplitude, 0.4 + 0.2 * level)

    def force(self, x: State) -> State:
        u, v = x[: self.nodes, 0], x[self.nodes :, 0]
        return jnp.concatenate([self._prey(u, v), self._predator(u, v, _laplacian(v))])[:, None]

    def force_at(self, x: State, sites: Sites, *, neighbours: Any = None) -> DrawnForce:
        # Indices are compared, not the forces: each drawn site gathers its own node and two
        # neighbours, so the cost knows the number of sites and not the number of nodes.
        n = self.nodes
        node = sites % n
        u, v = x[node, 0], x[node + n, 0]
        left = x[jnp.maximum(node - 1, 0) + n, 0]
        right = x[jnp.minimum(node + 1, n - 1) + n, 0]
        prey, predator = self._prey(u, v), self._predator(u, v, left - 2 * v + right)
        return jnp.where(sites < n, prey, predator)[:, None]

    def observable(self, x: State) -> Float[Array, "2"]:
        return x.reshape(2, self.nodes).mean(axis=1)

    def _prey(self, u: Array, v: Array) -> Array:
        return u * (1 - u - v)

    def _predator(self, u: Array, v: Array, laplacian: Array) -> Array:
        return self.growth * v * (u - self.threshold) + self.diffusion * laplacian


def _laplacian(v: Float[Array, " nodes"]) -> Float[Array, " nodes"]:
    """δ²v with unit spacing and replicated ends."""
    padded = jnp.concatenate([v[:1], v, v[-1:]])
    return padded[2:] - 2 * v + padded[:-2]
