import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._types import AnyArray, DrawnForce, Sites, State


class AbstractSystem(eqx.Module):
    """dx/dt = f(x) for a state x of shape (sites, channels).

    A subclass sets `num_sites` and `num_channels` and implements `force`, `force_at` and
    `observable`. Parameters that a slider may move are array leaves
    (`eqx.field(converter=jnp.asarray)`), so that moving them never recompiles anything.

    Some channels cost nothing: in mechanics dr/dt = v is known for every atom. A system names them
    in `free_channels` and gives their force on all sites in `free_force`.
    """

    num_sites: eqx.AbstractVar[int]
    num_channels: eqx.AbstractVar[int]

    @abc.abstractmethod
    def force(self, x: State) -> State:
        """f(x) on every site."""

    @abc.abstractmethod
    def force_at(self, x: State, sites: Sites, *, neighbours: Any = None) -> DrawnForce:
        """f(x) on `sites` only, at a cost proportional to their number.

        Equal to `force(x)[sites]`, and never computed that way: the promise that partial forces
        are really partial is kept here. `neighbours` is a list in hand, made by `neighbours(x)`;
        without it the force comes from `x` alone.
        """

    @abc.abstractmethod
    def observable(self, x: State) -> Float[Array, " observables"]:
        """z* = φ*(x), the macroscopic observables of interest."""

    def neighbours(self, x: Float[AnyArray, "sites channels"]) -> Any:
        """A neighbour list for `force_at`; `None` where the system needs none (any stencil)."""
        return None

    def renewed(self, neighbours: Any, x: State) -> Any:
        """The list, or a new one of the same shapes where it serves state `x` no more."""
        return neighbours

    @property
    def observable_names(self) -> tuple[str, ...]:
        """Names for tables and plots; () means that they are numbered."""
        return ()

    @property
    def free_channels(self) -> tuple[int, ...]:
        """The channels whose force is known on every site at no cost."""
        return ()

    def free_force(self, x: State) -> Float[Array, "sites free"]:
        """f(x) on the free channels of every site."""
        if self.free_channels:
            raise NotImplementedError(
                f"{type(self).__name__} has free channels {self.free_channels} and must implement "
                "`free_force(x)`, their force on every site."
            )
        return jnp.zeros((self.num_sites, 0), x.dtype)

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """The shape in which the numbers of a state are a field on a grid; (sites, channels) where
        there is none. XLA computes a stencil several times faster in it than on a list of sites."""
        return (self.num_sites, self.num_channels)

    @property
    def site_positions(self) -> Float[np.ndarray, "sites dimensions"]:
        """Where the sites of a grid are, for designs that spread sites in space."""
        return np.arange(self.num_sites, dtype=float)[:, None]

    def positions(self, x: State) -> Float[AnyArray, "sites dimensions"]:
        """Where the sites are in state `x`; particles carry it in their state."""
        return self.site_positions

    @property
    def site_kinds(self) -> Int[np.ndarray, " sites"]:
        """What the sites are (a species, a type of atom): designs keep kinds apart."""
        return np.zeros(self.num_sites, dtype=int)

    def flows(self, step: Float[Array, ""]) -> tuple[Callable[[State], State], ...]:
        """Two maps x(0) → x(`step`), exact solutions of two parts whose sum is f, for integrators
        that split; () where the system has none."""
        return ()

    @property
    def spectral_bound(self) -> float | None:
        """A bound λ on |eigenvalues of f′|, from which explicit integrators get their largest
        stable step (Euler 2/λ, RK4 2.785/λ on the negative axis); `None` where unknown."""
        return None
