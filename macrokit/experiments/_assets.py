"""What ships with the package: a trained closure and a small data set, and the command that makes
them, `macrokit assets`."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._closure import Closure, Decoder, Encoder, Identity
from .._sampling import Snapshots, sample, spread
from .._simulation import simulate
from .._storage import load, load_arrays, save, save_arrays
from .._types import Key
from ..designs import WithoutReplacement
from ..systems import TABLE, AbstractSystem, PredatorPrey
from ._closures import RECIPES, make_closure

_FOLDER = Path(__file__).parents[1] / "data"
_LEARNED = {"predator-prey": 2}
# Chosen on validation trajectories: `macrokit reproduce predator-prey-closures --full`.
SHIPPED = "principal"


def pretrained(name: str) -> Closure:
    """The closure that ships for a system, trained by `macrokit assets`.

    - `name`: "predator-prey".
    """
    if name not in _LEARNED:
        raise ValueError(f"Closures ship for {sorted(_LEARNED)}, but not for {name!r}.")
    like = _blank(TABLE[name](), _LEARNED[name])
    # It was saved in single precision, whatever is the default now.
    single = jax.tree.map(lambda a: a.astype(np.float32) if eqx.is_array(a) else a, like)
    return load(_FOLDER / f"{name}-closure.mk", like=single)


def example_snapshots(name: str = "predator-prey") -> tuple[Snapshots, Snapshots]:
    """60,000 forces twice, to start a lesson at training g: (full forces, a fifth of the forces).

    600 snapshots with the force on all 100 sites, and 3,000 with the force on 20 sites each.
    """
    if name not in _LEARNED:
        raise ValueError(f"Snapshots ship for {sorted(_LEARNED)}, but not for {name!r}.")
    a = load_arrays(_FOLDER / f"{name}-snapshots.npz")
    x = a["x"].astype(np.float32)[..., None]
    sites = a["sites"].astype(np.int32)
    every = np.broadcast_to(np.arange(x.shape[1]), a["full_force"].shape)
    full = Snapshots(x[: len(every)], every, a["full_force"][..., None])
    return full, Snapshots(x, sites, a["force"][..., None])


def lennard_jones_start() -> tuple[Float[Array, "800 3"], Float[Array, "800 3"]]:
    """The paper's start of 800 Lennard-Jones atoms in a box of side 10, which ships: positions r
    and velocities v of temperature 1, made by LAMMPS (tools/make_lennard_jones_reference.py)."""
    a = load_arrays(_FOLDER / "lennard-jones-800.npz")
    return jnp.asarray(a["r"], float), jnp.asarray(a["v"], float)


def make_assets(*, seed: int = 2024) -> tuple[Path, Path]:
    """Write the files that ship, from nothing but a seed."""
    closure_file = _FOLDER / "predator-prey-closure.mk"
    snapshots_file = _FOLDER / "predator-prey-snapshots.npz"
    system = PredatorPrey()
    runs = _training_runs(system, seed)
    states = spread(runs, 20_000, key=jax.random.key(seed + 4))
    closure = make_closure(RECIPES[SHIPPED], system, states, seed=seed + 5)
    save(closure_file, closure, {"recipe": SHIPPED, "learned": _LEARNED["predator-prey"]})
    x = spread(runs, 3000, key=jax.random.key(seed + 1))
    part = sample(
        system, x, fraction=0.2, design=WithoutReplacement(), key=jax.random.key(seed + 2)
    )
    full = sample(system, x[:600], key=jax.random.key(seed + 3))
    save_arrays(
        snapshots_file,
        x=np.asarray(x[..., 0]),
        sites=np.asarray(part.sites, np.uint8),
        force=np.asarray(part.force[..., 0]),
        full_force=np.asarray(full.force[..., 0]),
    )
    return closure_file, snapshots_file


def _training_runs(system: PredatorPrey, seed: int, count: int = 200):
    keys = jax.random.split(jax.random.key(seed), count)
    starts = jax.vmap(lambda k: system.random_start(key=k))(keys)
    return simulate(system, starts, duration=30, step=0.01, every=10, method="euler")


def _blank(system: AbstractSystem, learned: int) -> Closure:
    """A linear closure of the right shapes, all zeros; `load` replaces every number in it."""
    size, d = system.num_sites * system.num_channels, len(system.observable_names) + learned

    def build(key: Key) -> Closure:
        encoder = Encoder(jnp.zeros((learned, size)), jnp.zeros(learned), Identity())
        net = eqx.nn.MLP(d, size, 32, 2, jax.nn.softplus, key=key)
        scales = [jnp.zeros(n) for n in (d, d, size, size)]
        return Closure(system.observable, encoder, Decoder(net, *scales))

    # Shapes only: drawing weights that are thrown away would cost seconds of compilation.
    shapes = eqx.filter_eval_shape(build, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: (
            jax.device_put(np.zeros(leaf.shape, leaf.dtype))
            if isinstance(leaf, jax.ShapeDtypeStruct)
            else leaf
        ),
        shapes,
    )
