import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._types import DrawnForce, Key, Sites, State
from ._atoms import AbstractAtoms

Vectors = Float[Array, "sites 3"]


class VerletList(eqx.Module):
    """Of each atom the atoms within cut-off and skin; good until one has moved half the skin.

    - `atoms`: a column of their numbers for each atom; in what room is left, the atom itself.
    - `origin`: where the atoms were when the list was made.
    """

    atoms: Int[Array, "room sites"]
    origin: Vectors


class LennardJones(AbstractAtoms):
    """n atoms of mass 1 in a periodic cube of side L, in Lennard-Jones units:

        dr/dt = v,   dv/dt = F = −∇Σφ(|rᵢ − rⱼ|),   φ(r) = 4(r⁻¹² − r⁻⁶) for r < r_c,

    truncated as it is (`lj/cut`): neither shifted nor with a tail, so that the energy jumps where a
    pair crosses r_c. A site is an atom; x is (n, 6), its position r, which goes on across the
    border of the box, and its velocity v. dr/dt = v costs nothing. Observable: the temperature

        T = Σ|v|²/(3(n − 1)).

    - `atoms`: n. - `box`: L. - `cutoff`: r_c, at most L/2. By default a dense liquid, n/L³ = 0.8.
    - `smooth`: φ goes to 0 between 0.8 r_c and r_c with two continuous derivatives, by a factor
      1 − t³(10 − 15t + 6t²) with t linear in r². Then the energy is conserved.
    - `skin`: what a neighbour list holds beyond r_c.

    Source: Chen & Li 2024, section 4.2; Verlet 1967 for neighbour lists.
    """

    atoms: int = 800
    box: float = 10.0
    cutoff: float = 2.5
    smooth: bool = False
    skin: float = 0.3

    def __check_init__(self):
        if self.atoms < 2 or self.box <= 0:
            raise ValueError(
                "LennardJones needs at least 2 atoms in a box of positive side, but got "
                f"atoms={self.atoms}, box={self.box:g}."
            )
        if not 0 < self.cutoff <= self.box / 2:
            raise ValueError(
                f"The cut-off must lie between 0 and half the box, {self.box / 2:g}, so that an "
                f"atom meets one image of another at most, but got {self.cutoff:g}. Take a larger "
                "box, or a smaller cut-off."
            )
        if self.skin < 0:
            raise ValueError(f"The skin cannot be negative, but got {self.skin:g}.")

    # --- states -------------------------------------------------------------------------------

    def placement(self, *, key: Key) -> Vectors:
        """Positions r from which a simulation can begin: drawn evenly in the box, and `relaxed`."""
        return self.relaxed(jax.random.uniform(key, (self.atoms, 3), maxval=self.box))

    def relaxed(self, r: Vectors, *, steps: int = 150) -> Vectors:
        """Positions moved along the force for so many `steps`, by at most 0.1 a step: also of atoms
        that lie almost upon each other."""
        x = jnp.concatenate([r, jnp.zeros_like(r)], axis=1)

        def move(_: Array, carry: tuple[Array, VerletList | None]) -> tuple:
            x, neighbours = carry
            neighbours = self.renewed(neighbours, x)
            force = self.force_at(x, jnp.arange(self.atoms), neighbours=neighbours)[:, 3:]
            # Of a pair at 0.03 the square of the force is no number in single precision.
            force = jnp.clip(jnp.nan_to_num(force), -1e9, 1e9)
            size = jnp.sqrt((force**2).sum(axis=1, keepdims=True))
            away = force * jnp.minimum(2e-3, 0.1 / jnp.maximum(size, 1e-6))
            return x.at[:, :3].add(away), neighbours

        x, _ = jax.lax.fori_loop(0, steps, move, (x, self._worthwhile_list(x, self.atoms)))
        return x[:, :3]

    def velocities(self, *, key: Key) -> Vectors:
        """Gaussian velocities v without momentum, of temperature 1 exactly."""
        v = jax.random.normal(key, (self.atoms, 3))
        v -= v.mean(axis=0, keepdims=True)
        return v * jnp.sqrt(3 * (self.atoms - 1) / (v**2).sum())

    def start(self, r: Vectors, v: Vectors, temperature: float | Array) -> State:
        """x₀ = (r, √T₀ v), from `velocities` v of temperature 1. With one r and one v for all it is
        the paper's family, in which T₀ alone tells the runs apart."""
        return jnp.concatenate([r, jnp.sqrt(jnp.asarray(temperature)) * v], axis=1)

    def random_start(self, *, key: Key) -> State:
        """A placement and velocities of its own, T₀ ~ U(0.5, 1.5)."""
        place, speed, heat = jax.random.split(key, 3)
        temperature = jax.random.uniform(heat, minval=0.5, maxval=1.5)
        return self.start(self.placement(key=place), self.velocities(key=speed), temperature)

    # --- forces -------------------------------------------------------------------------------

    def force(self, x: State) -> State:
        return self.force_at(x, jnp.arange(self.atoms))

    def force_at(
        self, x: State, sites: Sites, *, neighbours: VerletList | None = None
    ) -> DrawnForce:
        """(v, F) of the chosen atoms.

        With a list in hand from the atoms that it names; else from the distances to all atoms or,
        where many atoms are asked for, from a list that is made for them.
        """
        if neighbours is None:
            neighbours = self._worthwhile_list(x, len(sites))

        def pulls(away: list[Array], square: Array) -> list[Array]:
            pull = self._pull(square)
            return [pull * d for d in away]

        F = jnp.stack(self._summed(x, sites, neighbours, pulls), axis=1)
        return jnp.concatenate([x[sites, 3:], F], axis=1)

    def potential_energy(self, x: State) -> Float[Array, ""]:
        """Σφ over all pairs."""
        listed = self._worthwhile_list(x, self.atoms)
        pairs = self._summed(x, jnp.arange(self.atoms), listed, lambda away, u: [self._pair(u)])
        return pairs[0].sum() / 2

    def energy(self, x: State) -> Float[Array, ""]:
        """Σ|v|²/2 + Σφ, which the dynamics conserves; but for the jumps at r_c, unless `smooth`."""
        return (x[:, 3:] ** 2).sum() / 2 + self.potential_energy(x)

    def _worthwhile_list(self, x: State, number: int) -> VerletList | None:
        """A list for the force on so many atoms, where it is cheaper than rows of distances."""
        return self.neighbours(x) if number > _ROWS else None

    def _summed(
        self, x: State, sites: Array, neighbours: VerletList | None, term: Callable
    ) -> list[Float[Array, " drawn"]]:
        """Of each chosen atom i the sums over j of `term`(rᵢ − rⱼ by component, |rᵢ − rⱼ|²).

        Some atoms j at a time for all i: such sums are added up as whole vectors, in a core's
        cache, where the entries of long rows would be added up one by one.
        """
        # Gathered before the loop, and component by component: rows of three fill no vector unit.
        r, mine = jax.lax.optimization_barrier((x[:, :3].T, x[sites, :3].T[:, None]))
        others = r[:, :, None] if neighbours is None else neighbours.atoms[:, sites]
        count = others.shape[-2]
        block = min(count, max(1, _BLOCK // len(sites)))
        rest, whole = jnp.split(others, [count % block], axis=-2)
        whole = whole.reshape(*whole.shape[:-2], -1, block, whole.shape[-1])
        whole = jnp.moveaxis(whole, -3, 0)  # block after block

        def terms(some: Array) -> list[Array]:
            theirs = some if neighbours is None else [r[k][some] for k in range(3)]
            away = [self._nearest(mine[k] - theirs[k]) for k in range(3)]
            return term(away, sum(d**2 for d in away))

        def add(sums: list[Array], some: Array) -> tuple[list[Array], None]:
            return [s + t for s, t in zip(sums, terms(some), strict=True)], None

        begin = [jnp.pad(t, [(0, block - len(t)), (0, 0)]) for t in terms(rest)]
        sums, _ = jax.lax.scan(add, begin, whole)
        return [s.sum(axis=0) for s in sums]

    def _nearest(self, d: Array) -> Array:
        """Of all periodic images of a difference, the smallest."""
        return d - self.box * jnp.round(d / self.box)

    def _pull(self, square: Array) -> Array:
        """−φ′(r)/r from r²; nothing of an atom on itself."""
        acts, u = self._acts(square)
        inverse = 1 / u
        sixth = inverse**3
        pull = 24 * sixth * (2 * sixth - 1) * inverse
        if self.smooth:
            kept, slope = self._switch(u)
            pull = pull * kept - 8 * sixth * (sixth - 1) * slope
        return jnp.where(acts, pull, 0)

    def _pair(self, square: Array) -> Array:
        """φ(r) from r²."""
        acts, u = self._acts(square)
        sixth = 1 / u**3
        pair = 4 * sixth * (sixth - 1)
        return jnp.where(acts, pair * self._switch(u)[0] if self.smooth else pair, 0)

    def _acts(self, square: Array) -> tuple[Bool[Array, "..."], Array]:
        acts = (square > 0) & (square < self.cutoff**2)
        return acts, jnp.where(acts, square, 1)

    def _switch(self, u: Array) -> tuple[Array, Array]:
        """The factor that φ is smoothed with, and its derivative by u = r²."""
        first, width = 0.64 * self.cutoff**2, 0.36 * self.cutoff**2
        t = jnp.clip((u - first) / width, 0, 1)
        return 1 - t**3 * (10 - 15 * t + 6 * t**2), -30 * (t * (1 - t)) ** 2 / width

    # --- neighbour lists ----------------------------------------------------------------------

    @property
    def reach(self) -> float:
        """r_c with the skin."""
        return self.cutoff + self.skin

    @property
    def room(self) -> int:
        """Places in the list of an atom: for a third more atoms than the density says, and some."""
        expected = self.atoms * 4 / 3 * math.pi * (self.reach / self.box) ** 3
        return min(self.atoms, math.ceil(expected + 4 * math.sqrt(expected) + 16))

    def neighbours(self, x: State) -> VerletList:
        """A Verlet list; of large boxes from cells. Raises where an atom has more neighbours, or a
        cell more atoms, than there is room for."""
        r = x[:, :3].T  # component by component: rows of three fill no vector unit
        atoms = jnp.arange(self.atoms)
        near = None if self._cells < 4 else self._candidates(x[:, :3])

        def row(atom: Array) -> tuple[Array, Array]:
            other = atoms if near is None else near[1][near[0][atom]].reshape(-1)
            there = jnp.minimum(other, self.atoms - 1)
            away = [self._nearest(r[k, atom] - r[k, there]) for k in range(3)]
            square = sum(d**2 for d in away)
            found = (square < self.reach**2) & (other != atom) & (other < self.atoms)
            place = jnp.where(found, jnp.cumsum(found) - 1, self.room)
            listed = jnp.full(self.room, atom).at[place].set(other, mode="drop")
            return listed.astype(jnp.int32), found.sum()

        listed, counts = jax.lax.map(row, atoms, batch_size=min(self.atoms, 256))
        listed = eqx.error_if(
            listed,
            counts.max() > self.room,
            f"An atom has more than {self.room} others within {self.reach:g}, for which the "
            f"neighbour lists of LennardJones have room at the density {self.density:.3g}. Atoms "
            "that crowd like this are no liquid: relax the state, or take smaller steps.",
        )
        return VerletList(listed.T, x[:, :3])

    @property
    def density(self) -> float:
        """n/L³."""
        return self.atoms / self.box**3

    def outdated(self, neighbours: VerletList, x: State) -> Bool[Array, ""]:
        """Whether an atom has moved so far that the list may miss a pair."""
        moved = ((x[:, :3] - neighbours.origin) ** 2).sum(axis=1)
        return moved.max() > (self.skin / 2) ** 2

    def renewed(self, neighbours: VerletList | None, x: State) -> VerletList | None:
        if neighbours is None:
            return None
        outdated = self.outdated(neighbours, x)
        return jax.lax.cond(outdated, self.neighbours, lambda _: neighbours, x)

    @property
    def _cells(self) -> int:
        """Cells along a side, each as long as the list reaches at least."""
        return int(self.box / self.reach)

    def _candidates(self, r: Vectors) -> tuple[Array, Array]:
        """The cells around each atom's own, and the atoms of each cell, filled up with n."""
        n = self._cells
        expected = self.atoms / n**3
        room = math.ceil(expected + 6 * math.sqrt(expected))
        cell3 = jnp.minimum((r % self.box * (n / self.box)).astype(jnp.int32), n - 1)
        cell = (cell3[:, 0] * n + cell3[:, 1]) * n + cell3[:, 2]
        order = jnp.argsort(cell)
        first = jnp.searchsorted(cell[order], jnp.arange(n**3))
        rank = jnp.arange(self.atoms) - first[cell[order]]
        order = eqx.error_if(
            order,
            rank.max() >= room,
            f"A cell of LennardJones holds more atoms than the {room} that there is room for. "
            "Atoms that crowd like this are no liquid: relax the state, or take smaller steps.",
        )
        table = jnp.full((n**3, room), self.atoms).at[cell[order], rank].set(order)
        steps = np.stack(np.meshgrid(*3 * [[-1, 0, 1]], indexing="ij"), axis=-1).reshape(1, -1, 3)
        around = (cell3[:, None] + steps) % n
        return (around[:, :, 0] * n + around[:, :, 1]) * n + around[:, :, 2], table


# Up to so many atoms, forces from bare positions come from rows of distances to all atoms, which
# are cheaper than to make a list first.
_ROWS = 1600
# Pairs that are looked at together.
_BLOCK = 1 << 17
