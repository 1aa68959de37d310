"""Named constructors of everything that the generic tests run through, and small data to run on.

A new system, macro model, scaling, design or estimator is one line here.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import macrokit as mk
from macrokit._closure import Decoder, Encoder, Head, Identity


class Ring(mk.systems.AbstractSystem):
    """A ring of masses and springs: qₜ = p, which is free, pₜ = k δ²q − q³. A site is (q, p)."""

    stiffness: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1.0)
    num_sites: int = 12
    num_channels: int = 2

    def force(self, x):
        return self.force_at(x, jnp.arange(self.num_sites))

    def force_at(self, x, sites, *, neighbours=None):
        q, p = x[sites].T
        left, right = x[sites - 1, 0], x[(sites + 1) % self.num_sites, 0]
        return jnp.stack([p, self.stiffness * (left - 2 * q + right) - q**3], axis=1)

    def observable(self, x):
        return jnp.stack([x[:, 0].mean(), (x[:, 1] ** 2).mean() / 2])

    @property
    def free_channels(self):
        return (0,)

    def free_force(self, x):
        return x[:, 1:]


class Linear(mk.systems.AbstractSystem):
    """A random banded linear system, xₜ = B x, of sites scattered in a square."""

    num_sites: int = 40
    num_channels: int = 1

    def bands(self):
        return np.random.default_rng(4).normal(size=(self.num_sites, 5)).astype(np.float32)

    def force(self, x):
        return self.force_at(x, jnp.arange(self.num_sites))

    def force_at(self, x, sites, *, neighbours=None):
        near = x[(sites[:, None] + np.arange(-2, 3)[None]) % self.num_sites, 0]
        return (jnp.asarray(self.bands())[sites] * near).sum(axis=1, keepdims=True)

    def observable(self, x):
        return x.reshape(2, -1).mean(axis=1)

    @property
    def site_positions(self):
        return np.random.default_rng(5).uniform(size=(self.num_sites, 2))


class Heat(mk.systems.AbstractSystem):
    """Heat on a ring, xₜ = δ²x, observed by two Fourier modes: each decays at its own rate."""

    num_sites: int = 16
    num_channels: int = 1

    def force(self, x):
        return self.force_at(x, jnp.arange(self.num_sites))

    def force_at(self, x, sites, *, neighbours=None):
        return x[sites - 1] - 2 * x[sites] + x[(sites + 1) % self.num_sites]

    def observable(self, x):
        return jnp.asarray(self.modes()[:2], x.dtype) @ x[:, 0]

    def modes(self):
        angle = 2 * np.pi * np.arange(self.num_sites) / self.num_sites
        return np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle)])

    def macroscopic(self):
        """The exact dz/dt = (this matrix) z of the three modes."""
        return np.diag(-4 * np.sin(np.pi * np.array([1, 1, 2]) / self.num_sites) ** 2)

    def closure(self):
        """z = the three modes."""
        like = closure(self, learned=1)
        encoder = Encoder(jnp.asarray(self.modes()[2:], jnp.float32), jnp.zeros(1), Identity())
        return eqx.tree_at(lambda c: c.encoder, like, encoder)


class LinearField(mk.macro.AbstractMacro):
    """G(z) = W z."""

    weight: Float[Array, "d d"]
    dim: int

    def __call__(self, z):
        return self.weight @ z


def predator_prey_in_numpy(nodes: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The published equations once more, in plain loops, with the published parameters."""

    def force(x: np.ndarray, sites: np.ndarray) -> np.ndarray:
        u, v = x[:nodes, 0], x[nodes:, 0]
        rows = []
        for site in sites:
            i = site % nodes
            if site < nodes:
                rows.append(u[i] * (1 - u[i] - v[i]))
            else:
                before, after = v[max(i - 1, 0)], v[min(i + 1, nodes - 1)]
                rows.append(3 * v[i] * (u[i] - 0.4) + before - 2 * v[i] + after)
        return np.array(rows)[:, None]

    return force


def host_system() -> mk.systems.HostSystem:
    """The system of SYSTEMS["predator-prey"] as a user's NumPy function."""
    return mk.systems.HostSystem(
        predator_prey_in_numpy(6), lambda x: x.reshape(2, 6).mean(axis=1), num_sites=12
    )


SYSTEMS = {
    "predator-prey": lambda: mk.systems.PredatorPrey(nodes=6),
    "allen-cahn": lambda: mk.systems.AllenCahn(4, epsilon=0.5),
    "lennard-jones": lambda: mk.systems.LennardJones(12, 3.4, cutoff=1.6),
    "host": host_system,
    "ring": Ring,
    "linear": Linear,
}


def size(x: Array) -> Array:
    """A size of each site, from the state."""
    return 0.5 + jnp.abs(x).sum(axis=1)


DESIGNS = {
    "without-replacement": mk.designs.WithoutReplacement,
    "with-replacement": mk.designs.WithReplacement,
    "stratified": mk.designs.Stratified,
    "stratified-by-state": lambda: mk.designs.Stratified("state"),
    "systematic": mk.designs.Systematic,
    "proportional-to-size": lambda: mk.designs.ProportionalToSize(size),
}
EQUAL = ("without-replacement", "with-replacement", "systematic")  # equal weights
ESTIMATORS = {
    "exact": mk.estimators.Exact,
    "lifted": mk.estimators.Lifted,
    "direct": mk.estimators.Direct,
    "difference": mk.estimators.Difference,
}
PARTIAL = ("lifted", "direct", "difference")  # estimators that accept forces on some of the sites
MACROS = {
    "onsagernet": lambda dim, *, key: mk.macro.OnsagerNet(dim, 8, key=key),
    "shared-onsagernet": lambda dim, *, key: mk.macro.SharedOnsagerNet(dim, 8, key=key),
    "gfinn": lambda dim, *, key: mk.macro.GFINN(dim, 8, key=key),
    "mlp": lambda dim, *, key: mk.macro.MLP(dim, 8, key=key),
    "driven": lambda dim, *, key: mk.macro.Driven(dim, 2, 8, field=mk.macro.OnsagerNet, key=key),
}
SCALINGS = {"structured": mk.macro.Structured, "affine": mk.macro.Affine}
CLOSURES = ("linear", "nonlinear")


@functools.cache
def benchmark() -> mk.experiments.Benchmark:
    """The paper's predator–prey data, with few trajectories."""
    return mk.experiments.predator_prey(8, 4)


def states(system: mk.systems.AbstractSystem, count: int, *, seed: int = 0) -> Array:
    """Random states, all positive; of atoms about places that are as far apart as they like."""
    shape = (count, system.num_sites, system.num_channels)
    x = np.random.default_rng(seed).uniform(0.1, 0.9, shape)
    if isinstance(system, mk.systems.LennardJones):
        places = np.stack(np.unravel_index(np.arange(system.num_sites), (3, 3, 3)), axis=-1)
        x[:, :, :3] = 1.13 * places[None] + 0.2 * x[:, :, :3]
    return jnp.asarray(x)


def state(system: mk.systems.AbstractSystem, *, seed: int = 0) -> Array:
    """One random state."""
    return jnp.asarray(np.asarray(states(system, 1, seed=seed))[0])


def random_weights(build: Callable[[], Any], *, seed: int = 0) -> Any:
    """What `build` makes, with weights from NumPy: JAX would compile each draw."""
    rng = np.random.default_rng(seed)
    shapes = eqx.filter_eval_shape(build)

    def fill(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        return jnp.asarray(rng.normal(size=leaf.shape).astype(leaf.dtype) / np.sqrt(4))

    return jax.tree.map(fill, shapes)


def closure(
    system: mk.systems.AbstractSystem, kind: str = "linear", learned: int = 2, *, seed: int = 0
) -> mk.Closure:
    """A closure with random weights, the decoder's too."""
    size, d = system.num_sites * system.num_channels, learned + 2
    hidden = learned if kind == "linear" else 5

    def build() -> mk.Closure:
        key, softplus = jax.random.key(0), jax.nn.softplus
        head = Identity()
        if kind == "nonlinear":
            head = Head(eqx.nn.MLP(hidden, learned, 5, 1, softplus, key=key))
        encoder = Encoder(jnp.zeros((hidden, size)), jnp.zeros(hidden), head)
        net = eqx.nn.MLP(d, size, 4, 1, softplus, key=key)
        return mk.Closure(
            system.observable, encoder, Decoder(net, *map(jnp.zeros, (d, d, size, size)))
        )

    return random_weights(build, seed=seed)
