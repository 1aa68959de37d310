import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import DrawnForce, Key, Sites, State
from ._abstract import AbstractSystem


class AllenCahn(AbstractSystem):
    """A field u that separates into the phases u = ±1, on n × n nodes of the unit square:

        uₜ = (u − u³)/ε² + Δₕu,

    with the five-point Laplacian of spacing h = 1/n, replicated at the border (no flux). Interfaces
    are some 4ε wide and move by mean curvature: as ε → 0 the radius of a disc obeys dr/dt = −1/r.
    A site is one node, row after row; x is (n², 1). Observable: the free energy of the paper,

        E = h² Σ (u² − 1)²/(4ε²) + |∇u|²/2,   ∇u by central differences.

    - `grid`: n, nodes along a side.
    - `epsilon`: ε (length); by default 10h/(2√2 artanh 0.9), an interface of ten nodes.

    Source: Chen & Li 2024, section 4.3, with the parameters of their released code (n = 200).
    """

    epsilon: Float[Array, ""]
    grid: int

    def __init__(self, grid: int = 200, epsilon: float | Array | None = None):
        if grid < 3:
            raise ValueError(f"AllenCahn needs at least 3 nodes along a side, but got grid={grid}.")
        self.grid = grid
        default = 10 / grid / (2 * np.sqrt(2) * np.arctanh(0.9))
        self.epsilon = jnp.asarray(default if epsilon is None else epsilon, float)

    @property
    def num_sites(self) -> int:
        return self.grid**2

    @property
    def num_channels(self) -> int:
        return 1

    @property
    def observable_names(self) -> tuple[str, ...]:
        return ("free energy",)

    @property
    def grid_shape(self) -> tuple[int, int]:
        return (self.grid, self.grid)

    @property
    def site_positions(self) -> Float[np.ndarray, "sites 2"]:
        """((i + ½)h, (j + ½)h), the middle of each node's cell."""
        middle = (np.arange(self.grid) + 0.5) / self.grid
        return np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)

    @property
    def spectral_bound(self) -> float:
        """8/h² from Δₕ, plus 2.63/ε², the reaction's largest rate for |u| ≤ 1.1."""
        return 8 * self.grid**2 + 2.63 / float(self.epsilon) ** 2

    def start(self, outer: float | Array, inner: float | Array) -> State:
        """x₀ = tanh((r₁ − r)/(√2 ε)) − tanh((r₂ − r)/(√2 ε)) − 1: u = 1 on a ring about the middle
        between the radii r₂ `inner` and r₁ `outer`, u = −1 elsewhere; with r₂ < 0, on a disc."""
        away = jnp.asarray(self.site_positions - 0.5)
        r, width = jnp.sqrt((away**2).sum(axis=1)), jnp.sqrt(2.0) * self.epsilon
        return (jnp.tanh((outer - r) / width) - jnp.tanh((inner - r) / width) - 1)[:, None]

    def random_start(self, *, key: Key) -> State:
        """The paper's starts: a torus with r₁ ~ U(0.30, 0.40) and r₂ ~ U(0.10, 0.15)."""
        outer, inner = jax.random.uniform(key, (2,))
        return self.start(0.3 + 0.1 * outer, 0.1 + 0.05 * inner)

    def force(self, x: State) -> State:
        padded = jnp.pad(self._field(x), 1, mode="edge")
        around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
        return self._rate(self._field(x), around).reshape(-1, 1)

    def force_at(self, x: State, sites: Sites, *, neighbours: Any = None) -> DrawnForce:
        n = self.grid
        row, column = sites // n, sites % n
        around = sum(
            x[jnp.clip(row + i, 0, n - 1) * n + jnp.clip(column + j, 0, n - 1)]
            for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1))
        )
        return self._rate(x[sites], around)

    def observable(self, x: State) -> Float[Array, "1"]:
        """The free energy of the paper, by central differences; replicated at the border."""
        u = self._field(x)
        padded = jnp.pad(u, 1, mode="edge")
        twice = (padded[2:, 1:-1] - padded[:-2, 1:-1]) ** 2
        twice += (padded[1:-1, 2:] - padded[1:-1, :-2]) ** 2
        return (self._double_well(u) + twice.sum() / 8)[None]

    def consistent_energy(self, x: State) -> Float[Array, ""]:
        """E by one-sided differences, whose gradient is exactly −h² f, so that it always decays:
        dE/dt = −h² |f|². Equal to the observable's as h/ε → 0."""
        u = self._field(x)
        steps = (jnp.diff(u, axis=0) ** 2).sum() + (jnp.diff(u, axis=1) ** 2).sum()
        return self._double_well(u) + steps / 2

    def flows(self, step: Float[Array, ""]) -> tuple[Callable[[State], State], ...]:
        """The reaction, u/√(u² + (1 − u²) e^(−2t/ε²)), and the diffusion, E U Eᵀ with E = e^(t δ²)
        of one dimension, over a time t = `step`.

        Diffusion keeps even fields even and odd ones odd, so E acts on the two halves of a side
        apart, with half the work. An odd number of nodes has no such halves.
        """
        n = self.grid
        modes, rates = _cosines(n)
        modes = jnp.asarray(modes, self.epsilon.dtype)
        kept = jnp.exp(-step * jnp.asarray(n**2 * rates, modes.dtype))
        kernel = (modes * kept[None]) @ modes.T
        decay = jnp.exp(-2 * step / self.epsilon**2)

        def reaction(x: State) -> State:
            return x * jax.lax.rsqrt(x**2 + (1 - x**2) * decay)

        def diffusion(x: State) -> State:
            u = self._field(x)
            return (kernel @ u @ kernel if n % 2 else by_halves(u)).reshape(-1, 1)

        def by_halves(u: Array) -> Array:
            half = n // 2
            near, far = kernel[:half, :half], kernel[:half, half:][:, ::-1]
            even, odd = near + far, near - far
            top, bottom = u[:half], u[half:][::-1]
            a, b = even @ (top + bottom), odd @ (top - bottom)
            u = jnp.concatenate([a + b, (a - b)[::-1]]) / 2
            left, right = u[:, :half], u[:, half:][:, ::-1]
            a, b = (left + right) @ even, (left - right) @ odd
            return jnp.concatenate([a + b, (a - b)[:, ::-1]], axis=1) / 2

        return reaction, diffusion

    def _field(self, x: State) -> Float[Array, "grid grid"]:
        return x.reshape(self.grid_shape)

    def _rate(self, u: Array, around: Array) -> Array:
        return (u - u**3) / self.epsilon**2 + self.grid**2 * (around - 4 * u)

    def _double_well(self, u: Array) -> Array:
        return ((u**2 - 1) ** 2).mean() / (4 * self.epsilon**2)


@functools.cache
def _cosines(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal eigenvectors of −δ² with replicated ends, cos(πk(i + ½)/n), and eigenvalues."""
    k = np.arange(n)
    modes = np.sqrt(2 / n) * np.cos(np.pi * k[None] * (k[:, None] + 0.5) / n)
    modes[:, 0] = np.sqrt(1 / n)
    return modes, 4 * np.sin(np.pi * k / (2 * n)) ** 2
