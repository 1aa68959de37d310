"""How fast the parts are, on this machine, as one JSON object.

    python benchmarks/speed.py

Times are the best of several; compare ratios within one run, not seconds between machines.
"""

import json
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

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


def training_step(members: int, batch: int = 256, steps: int = 200) -> float:
    """Milliseconds of one step of one OnsagerNet (d = 4), in an ensemble of `members`."""
    closure = mk.pretrained("predator-prey")
    _, fifth = mk.experiments.example_snapshots("predator-prey")
    labels = mk.label(mk.estimators.Lifted(), closure, fifth)
    keys = jax.random.split(jax.random.key(0), members)
    models = mk.stack([mk.macro_model(mk.macro.OnsagerNet(4, key=k), labels) for k in keys])
    state = mk.start(models, mk.Cosine(5e-3, steps), key=jax.random.key(1), members=members)

    def run():
        *_, last = mk.train(state, labels, steps=steps, every=steps, batch=batch)
        return last.state.model

    return best(run) / steps / members * 1e3


def data_set(trajectories: int = 1600) -> float:
    """Seconds of the paper's training trajectories: T = 30, dt = 0.01, Euler."""
    system = mk.systems.PredatorPrey()
    keys = jax.random.split(jax.random.key(0), trajectories)
    starts = jax.vmap(lambda key: system.random_start(key=key))(keys)
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


def main() -> None:
    steps = {members: training_step(members) for members in (1, 8)}
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
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    jnp.zeros(())  # the first use of JAX starts its backend
    main()
