"""What ships with the package is what it says it is."""

from pathlib import Path

import jax
import numpy as np
import pytest
from catalogue import benchmark

import macrokit as mk
from macrokit.experiments import example_snapshots


def test_the_shipped_closure() -> None:
    data, phi = benchmark(), mk.pretrained("predator-prey")
    x = mk.spread(data.validation, 200, key=jax.random.key(0))
    assert 1e-4 < mk.lift_defect(data.system, phi, x) < 5e-3
    assert phi.condition(x[0]) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(phi.encode(x[0])[:2], data.system.observable(x[0]), rtol=1e-6)
    assert phi.encode(x[0]).shape == (4,)


def test_the_shipped_closure_is_complete() -> None:
    """Nothing in it is left at the zeros that it is loaded over."""
    phi = mk.pretrained("predator-prey")
    decoder = phi.decoder
    for array in (phi.encoder.weight, decoder.spread, decoder.state_centre, decoder.state_spread):
        assert (np.abs(array) > 0).all()


def test_the_shipped_forces() -> None:
    full, part = example_snapshots()
    assert (len(full), full.forces) == (600, 60_000)
    assert (len(part), part.forces) == (3_000, 60_000)
    assert (full.fraction, part.fraction) == (1, 0.2)
    system = mk.systems.PredatorPrey()
    for snapshots in (full[:20], part[:20]):
        for x, sites, force in zip(snapshots.x, snapshots.sites, snapshots.force, strict=True):
            np.testing.assert_allclose(system.force_at(x, sites), force, atol=2e-6)
    assert len(np.unique(np.asarray(part.sites), axis=0)) == 3_000


def test_what_ships_is_small() -> None:
    folder = Path(mk.__file__).parent / "data"
    assert 10_000 < sum(file.stat().st_size for file in folder.iterdir()) < 2_000_000


@pytest.mark.parametrize("load", [mk.pretrained, example_snapshots])
def test_unknown_names(load) -> None:
    with pytest.raises(ValueError, match=r"for \['predator-prey'\], but not for 'lorenz'"):
        load("lorenz")
