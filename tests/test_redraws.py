"""Redraws of one state: unbiased whatever the model knows, and as noisy as is said."""

import jax
import numpy as np
import pytest
from catalogue import DESIGNS, Ring, closure, host_system, state

import macrokit as mk

RING, KEY = Ring(), jax.random.key(1)


@pytest.mark.parametrize("control", [0.0, 1.0])
@pytest.mark.parametrize("design", DESIGNS)
def test_unbiased_and_as_noisy_as_is_said(design: str, control: float) -> None:
    draws = mk.redraw(
        RING, closure(RING), state(RING), DESIGNS[design](), 5, control=control, key=KEY
    )
    assert draws.estimates.shape == (10_000, 4)
    assert 0.05 < np.abs(draws.z).max() < 4
    spread = draws.estimates.std(axis=0)
    if design == "systematic":
        spread = np.unique(draws.estimates.round(5), axis=0).std(axis=0)
    np.testing.assert_allclose(spread, draws.deviation, rtol=0.05)
    assert len(draws.sites) == 5


def test_it_is_what_the_estimators_say() -> None:
    """Of the direct one b/W, of the lifted one g + M (b − S g), on the same sites."""
    phi, x = closure(RING), state(RING)
    design = mk.designs.WithoutReplacement()
    for control, estimator in ((0.0, mk.estimators.Direct()), (1.0, mk.estimators.Lifted())):
        draws = mk.redraw(RING, phi, x, design, 6, control=control, count=3, key=KEY)
        sites = draws.sites[None]
        force = np.asarray(RING.force_at(x, draws.sites))[None]
        known = {"free": (0,), "known": np.asarray(RING.free_force(x))[None]}
        bought = mk.Snapshots(np.asarray(x)[None], sites, force, **known)
        labels = mk.label(estimator, phi, bought, spread=1.0)
        g, b = control * draws.truth, np.asarray(labels.b)[0]
        metric = np.eye(4) if control == 0 else np.asarray(phi.gram(x))
        said = g + metric @ (b - np.asarray(labels.S)[0] @ g) if control else b
        np.testing.assert_allclose(draws.estimates[-1], said, rtol=1e-3, atol=1e-4)


def test_host_systems_and_impossible_numbers() -> None:
    host = host_system()
    design = mk.designs.Stratified()
    draws = mk.redraw(host, closure(host), state(host), design, 4, count=100, key=KEY)
    assert np.isfinite(draws.estimates).all()
    with pytest.raises(ValueError, match=r"number must lie in 1 … 12.*but got 13"):
        mk.redraw(host, closure(host), state(host), design, 13, key=KEY)
