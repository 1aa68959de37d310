"""Your own system in at most 20 lines, your own NumPy arrays, your own force function: the same
calls, from states to a roll-out."""

from pathlib import Path

import jax
import jax.numpy as jnp
import nbformat
import numpy as np
import pytest
from catalogue import Heat, Ring, closure, states
from jaxtyping import Array, Float

import macrokit as mk

KEY = jax.random.key(0)


def test_the_own_system_of_the_notebook_takes_at_most_20_lines() -> None:
    path = Path(__file__).parents[1] / "notebooks" / "01_predator_prey.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    (source,) = (c.source for c in cells if "(mk.systems.AbstractSystem)" in c.source)
    assert 10 < len(source.splitlines()) <= 20


def waves(count: int, *, seed: int) -> np.ndarray:
    """States of `Heat`: three slow modes, and a little of the others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3)) @ Heat().modes() + 0.01 * rng.normal(size=(count, 16))
    return x[..., None].astype(np.float32)


class AffineField(mk.macro.AbstractMacro):
    """An own macroscopic model, G(z) = W z + c."""

    weight: Float[Array, "d d"]
    shift: Float[Array, " d"]
    dim: int = 3

    def __call__(self, z):
        return self.weight @ z + self.shift


@pytest.mark.slow
def test_from_states_to_a_roll_out() -> None:
    system, keys = Heat(), jax.random.split(KEY, 4)
    runs = mk.simulate(system, waves(40, seed=0), duration=4, step=0.05, every=4)
    x = mk.spread(runs, 600, key=keys[0])
    phi = mk.linear_closure(system.observable, x, 1, key=keys[1])
    labels = mk.label(mk.estimators.Lifted(), phi, mk.sample(system, x, fraction=0.5, key=keys[2]))
    model = mk.macro_model(AffineField(jnp.zeros((3, 3)), jnp.zeros(3)), labels)
    model = mk.fit(model, labels, steps=2000, learning_rate=0.03, progress=False, key=keys[3])

    held_out = mk.simulate(system, waves(3, seed=1), duration=8, step=0.05, every=16)
    for truth in held_out.x:
        run = mk.rollout(model, phi.encode(truth[0]), held_out.times)
        assert not run.diverged
        observed = jax.vmap(system.observable)(truth)
        assert 1e-6 < mk.relative_error(run.z[:, :2], observed) < 0.01
    assert mk.test_errors(mk.stack([model]), mk.TestSet(phi, held_out))[0] < 0.01


@pytest.mark.parametrize("owner", [Heat, Ring])
def test_own_arrays_give_the_labels_of_a_system(owner: type) -> None:
    system = owner()
    phi, x = closure(system, "nonlinear"), states(system, 9)
    bought = mk.sample(system, x, fraction=0.5, free=False, key=KEY)
    own = mk.Snapshots(*(np.asarray(a) for a in (bought.x, bought.sites, bought.force)))
    assert own.forces == bought.forces
    same_labels(mk.label(mk.estimators.Lifted(), phi, own), phi, bought)


@pytest.mark.parametrize("owner", [Heat, Ring])
def test_an_own_force_function_gives_the_labels_of_a_system(owner: type) -> None:
    system = owner()

    def compute(x: np.ndarray, sites: np.ndarray) -> np.ndarray:
        before, after = x[sites - 1, :1], x[(sites + 1) % len(x), :1]
        spring = before - 2 * x[sites, :1] + after
        if owner is Heat:
            return spring
        return np.concatenate([x[sites, 1:], spring - x[sites, :1] ** 3], axis=1)

    host = mk.systems.HostSystem(
        compute, system.observable, system.num_sites, num_channels=system.num_channels
    )
    phi, x = closure(system, "nonlinear"), states(system, 9)
    for fraction in (0.5, 1.0):
        ours, theirs = (
            mk.sample(s, x, fraction=fraction, free=False, key=KEY) for s in (system, host)
        )
        np.testing.assert_allclose(theirs.force, ours.force, rtol=1e-5, atol=1e-6)
        same_labels(mk.label(mk.estimators.Lifted(), phi, theirs), phi, ours, rtol=1e-4)


def same_labels(labels, phi: mk.Closure, snapshots: mk.Snapshots, *, rtol: float = 0) -> None:
    expected = mk.label(mk.estimators.Lifted(), phi, snapshots)
    for name in ("z", "S", "b", "c"):
        ours, theirs = getattr(labels, name), getattr(expected, name)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol, err_msg=name)
