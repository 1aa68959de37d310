"""Choose snapshots and sites, and buy forces: the data that training sees."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from ._archive import StoredTrajectories
from ._closure import Closure, together
from ._simulation import Trajectories, check_finite
from ._types import AnyArray, Key, Keys
from .designs import TABLE, AbstractDesign, ProportionalToSize, Stratified
from .systems import AbstractHostSystem, AbstractSystem


class Snapshots(eqx.Module):
    """States and the forces bought on some of their sites: all that training may know of f.

    - `x`: states, every site of them (states are cheap, forces are dear).
    - `sites`: the drawn sites of each snapshot. - `force`: f(x) on them.
    - `weights`: w of each drawn site, 1/π where none is drawn twice.
    - `free`, `known`: the channels whose force costs nothing (dr/dt = v), and it on every site.

    Your own data fit as they are: `Snapshots(x, sites, force)`; weights default to equal inclusion
    probabilities, sites / drawn.
    """

    x: Float[Array, "snapshots sites channels"]
    sites: Int[Array, "snapshots drawn"]
    force: Float[Array, "snapshots drawn channels"]
    weights: Float[Array, "snapshots drawn"]
    known: Float[Array, "snapshots sites free"]
    free: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        x: AnyArray,
        sites: AnyArray,
        force: AnyArray,
        weights: AnyArray | None = None,
        *,
        free: tuple[int, ...] = (),
        known: AnyArray | None = None,
    ):
        x, force = np.asarray(x), np.asarray(force)
        sites = np.asarray(sites)
        if x.ndim != 3:
            raise ValueError(
                f"x must have shape (snapshots, sites, channels), but got {x.shape}. "
                "For one number per site, add an axis: `x[..., None]`."
            )
        if not len(x):
            raise ValueError(f"There are no snapshots: x has shape {x.shape}.")
        if sites.shape[:1] != x.shape[:1] or sites.ndim != 2 or not sites.size:
            raise ValueError(
                f"sites must have shape (snapshots, drawn) = ({len(x)}, …), but got {sites.shape}."
            )
        if force.shape != (*sites.shape, x.shape[2]):
            raise ValueError(
                "force must have shape (snapshots, drawn, channels) = "
                f"{(*sites.shape, x.shape[2])}, but got {force.shape}."
            )
        if not np.issubdtype(sites.dtype, np.integer):
            raise ValueError(f"sites must be integers, but got {sites.dtype}.")
        outside = (sites < 0) | (sites >= x.shape[1])
        if outside.any():
            k, j = np.argwhere(outside)[0]
            raise ValueError(
                f"sites must lie in 0 … {x.shape[1] - 1}, but snapshot {k} asks for site "
                f"{sites[k, j]}."
            )
        if weights is None:
            ordered = np.sort(sites, axis=1)
            repeated = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
            if repeated.any():
                raise ValueError(
                    f"Snapshot {np.argmax(repeated)} names a site twice. Name each site once, or "
                    "pass the `weights` of a design that draws with replacement."
                )
            weights = np.full(sites.shape, x.shape[1] / sites.shape[1])
        weights = np.asarray(weights)
        if weights.shape != sites.shape or not (weights > 0).all():
            raise ValueError(
                f"weights must be positive, one per drawn site, shape {sites.shape}, but got shape "
                f"{weights.shape} with minimum {weights.min():g}. They are 1/π of each site."
            )
        check_finite(x, "state")
        check_finite(force, "force", sites)
        known = np.zeros((*x.shape[:2], 0), force.dtype) if known is None else np.asarray(known)
        if known.shape != (*x.shape[:2], len(free)) or not set(free) <= set(range(x.shape[2])):
            raise ValueError(
                f"known must hold the force on the free channels {free} of every site, shape "
                f"{(*x.shape[:2], len(free))}, but got {known.shape}."
            )
        check_finite(known, "force")
        # Integer states, such as spins, would make the forces integers too.
        x = x if np.issubdtype(x.dtype, np.floating) else x.astype(float)
        self.x, self.sites = _put(x), _put(sites, np.int32)
        self.force, self.weights = _put(force, self.x.dtype), _put(weights, self.x.dtype)
        self.known, self.free = _put(known, self.x.dtype), tuple(free)

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, chosen: slice) -> "Snapshots":
        arrays = (self.x, self.sites, self.force, self.weights)
        return Snapshots(*(a[chosen] for a in arrays), free=self.free, known=self.known[chosen])

    @property
    def fraction(self) -> float:
        """Sites drawn in a snapshot, as a share of all."""
        return self.sites.shape[1] / self.x.shape[1]

    @property
    def forces(self) -> int:
        """What these data cost: the number of distinct site forces held."""
        return int(self.distinct.sum())

    @property
    def paid(self) -> Float[np.ndarray, " channels"]:
        """1 for each channel whose force is paid for, 0 for the free ones."""
        return np.array([float(c not in self.free) for c in range(self.x.shape[2])])

    @property
    def distinct(self) -> Int[np.ndarray, " snapshots"]:
        """How many different sites each snapshot holds."""
        ordered = np.sort(np.asarray(self.sites), axis=1)
        return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)


def spread(
    trajectories: Trajectories | StoredTrajectories, count: int, *, key: Key
) -> Float[Array, "snapshots sites channels"]:
    """`count` distinct snapshots spread evenly over trajectories and times.

    A two-dimensional golden-ratio (Kronecker) sequence with a random shift: any prefix of it is
    spread as well, so that a budget that grows in rounds keeps what it has bought.
    """
    return _put(trajectories.take(*spread_indices(trajectories.lengths, count, key=key)))


def spread_indices(
    lengths: Int[AnyArray, " trajectories"], count: int, *, key: Key
) -> tuple[Int[np.ndarray, " snapshots"], Int[np.ndarray, " snapshots"]]:
    """The (trajectory, time) indices that `spread` chooses among runs of these lengths."""
    ends = np.cumsum(lengths)
    runs, total = len(ends), int(ends[-1])
    if not 1 <= count <= total:
        raise ValueError(
            f"Asked for {count} distinct snapshots of {runs} trajectories with {total} frames. "
            "Simulate more trajectories or buy fewer forces."
        )
    shift = np.asarray(jax.random.uniform(key, (2,)), dtype=float)
    # The plastic number gives the most even two-dimensional Kronecker sequence.
    plastic = 1.32471795724474602596
    chosen = np.empty(0, dtype=int)
    length = count
    while len(chosen) < count:
        length = min(2 * length, 64 * total)
        k = np.arange(length)
        run = ((shift[0] + k / plastic) % 1 * runs).astype(int)
        time = ((shift[1] + k / plastic**2) % 1 * lengths[run]).astype(int)
        flat = ends[run] - lengths[run] + time
        first = np.sort(np.unique(flat, return_index=True)[1])
        chosen = flat[first]
        if length == 64 * total and len(chosen) < count:
            missing = np.setdiff1d(np.arange(total), chosen)
            chosen = np.concatenate([chosen, missing])
    return run_and_time(lengths, chosen[:count])


def affordable(
    count: int,
    system: AbstractSystem,
    lengths: Int[AnyArray, " trajectories"],
    *,
    numbers: int,
    least: int = 50,
) -> int:
    """`count` snapshots of runs of these lengths, or as many as there are. Of a large system fewer:
    as many as hold so many `numbers`, which are in memory at a time; but `least`."""
    fitting = max(least, numbers // (system.num_sites * system.num_channels))
    return min(count, fitting, int(np.sum(lengths)))


def number_drawn(fraction: float, sites: int) -> int:
    """How many of `sites` are a `fraction` of them; at least one."""
    if not 0 < fraction <= 1:
        raise ValueError(
            f"fraction must lie in (0, 1], but got {fraction}. It is the share of the sites whose "
            "force is computed: 0.2 for a fifth, 1 for all."
        )
    return max(1, round(fraction * sites))


def run_and_time(
    lengths: Int[AnyArray, " trajectories"], chosen: Int[np.ndarray, " snapshots"]
) -> tuple[Int[np.ndarray, " snapshots"], Int[np.ndarray, " snapshots"]]:
    """Of frames that are numbered one run after another."""
    ends = np.cumsum(lengths)
    run = np.searchsorted(ends, chosen, side="right")
    return run, chosen - (ends[run] - lengths[run])


def sample(
    system: AbstractSystem,
    x: Float[AnyArray, "snapshots sites channels"],
    *,
    fraction: float = 1.0,
    design: AbstractDesign | None = None,
    free: bool = True,
    key: Key | Keys,
) -> Snapshots:
    """Draw sites in each state and compute the force there, and only there.

    - `x`: states. - `fraction`: p ∈ (0, 1], share of the sites that is drawn; 1 computes all
      but with designs that may draw a site twice.
    - `design`: how sites are drawn, `Stratified("state")` by default: one from each block of sites
      whose states are alike. Where states tell nothing of forces it is as good as a blind draw.
    - `free`: take the system's free channels exactly, on every site; `False` draws them like the
      others, as the released code does.
    - `key`: one, which is split over the states, or one for each of them.

    Returns `Snapshots`, whose `forces` is what this cost.
    """
    design = Stratified("state") if design is None else design
    number = number_drawn(fraction, system.num_sites)
    x = _put(x)
    expected = (system.num_sites, system.num_channels)
    if x.ndim != 3 or x.shape[1:] != expected:
        raise ValueError(
            f"States of {type(system).__name__} have shape (snapshots, {expected[0]}, "
            f"{expected[1]}), but got {x.shape}."
        )
    if number == system.num_sites and design.distinct:
        sites = _put(np.broadcast_to(np.arange(number, dtype=np.int32), (len(x), number)))
        weights = _put(np.ones((len(x), number), x.dtype))
    else:
        keys = jax.random.split(key, len(x)) if key.ndim == 0 else key
        sites, weights = _draw(system, design, x, number, keys)
    channels = system.free_channels if free else ()
    known = _free_force(system, x) if channels else None
    return Snapshots(x, sites, _forces(system, x, sites), weights, free=channels, known=known)


def make_design(name: str, closure: Closure) -> AbstractDesign:
    """A design of the table by name; where it needs a size of the sites, that is |Jᵢ|."""
    design = TABLE[name]()
    if isinstance(design, ProportionalToSize):
        return ProportionalToSize(closure.site_norms)
    return design


def _put(a: AnyArray, dtype: Any = None) -> Array:
    """As `jnp.asarray`, which compiles a program for every new shape; this does not."""
    if isinstance(a, jax.Array) and dtype in (None, a.dtype):
        return a
    return jax.device_put(np.asarray(a, dtype))


def _forces(system: AbstractSystem, x: Array, sites: Array) -> AnyArray:
    if isinstance(system, AbstractHostSystem):
        pairs = zip(np.asarray(x), np.asarray(sites), strict=True)
        return np.stack([_host_force_at(system, a, s) for a, s in pairs])
    return forces_at(system, x, sites)


def _host_force_at(system: AbstractHostSystem, x: np.ndarray, sites: np.ndarray) -> np.ndarray:
    # A site that was drawn twice is computed, and paid for, once.
    distinct, back = np.unique(sites, return_inverse=True)
    return system.force_at(x, distinct, neighbours=system.neighbours(x))[back]


@eqx.filter_jit
def forces_at(system: AbstractSystem, x: Array, sites: Array) -> Array:
    """The force on the chosen sites of each state; in blocks, so that no (snapshots, drawn, sites)
    array of distances ever exists."""
    size = together(len(x), x[0].size)
    return jax.lax.map(lambda drawn: system.force_at(*drawn), (x, sites), batch_size=size)


@eqx.filter_jit
def _free_force(system: AbstractSystem, x: Array) -> Array:
    return jax.vmap(lambda x: system.free_force(x))(x)


@eqx.filter_jit
def _draw(
    system: AbstractSystem, design: AbstractDesign, x: Array, number: int, keys: Array
) -> tuple:
    return jax.vmap(lambda x, key: design.draw(system, x, number, key=key))(x, keys)
