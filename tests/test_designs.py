"""Designs: what the weights promise, over 10,000 redraws at a fixed key."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import DESIGNS, Ring

REDRAWS = 10_000
SYSTEM = Ring()
SITES = SYSTEM.num_sites
VALUES = np.random.default_rng(1).normal(1.0, 2.0, SITES)


@functools.cache
def redraws(name: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Sites and weights, (redraws, number) each."""
    design, x = DESIGNS[name](), jnp.zeros((SITES, 2))
    keys = jax.random.split(jax.random.key(7), REDRAWS)
    drawn = jax.jit(jax.vmap(lambda key: design.draw(SYSTEM, x, number, key=key)))(keys)
    return tuple(np.asarray(a) for a in drawn)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_draw_is_a_draw(name: str) -> None:
    sites, weights = redraws(name, 5)
    assert sites.shape == weights.shape == (REDRAWS, 5)
    assert np.issubdtype(sites.dtype, np.integer)
    assert set(np.unique(sites)) == set(range(SITES))
    assert (weights > 0).all()


@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("name", DESIGNS)
def test_weighted_sums_are_unbiased(name: str, number: int) -> None:
    sites, weights = redraws(name, number)
    # Σ over drawn sites of weight · a, for a = 1 at one site and 0 elsewhere: all sums follow.
    sums = np.zeros((REDRAWS, SITES))
    np.add.at(sums, (np.arange(REDRAWS)[:, None], sites), weights)
    z = (sums.mean(axis=0) - 1) / (sums.std(axis=0) / np.sqrt(REDRAWS))
    assert 0.5 < np.abs(z).max() < 4


@pytest.mark.parametrize("number", [1, 5, SITES])
def test_without_replacement_names_a_site_once(number: int) -> None:
    sites, weights = redraws("without-replacement", number)
    ordered = np.sort(sites, axis=1)
    assert (ordered[:, 1:] > ordered[:, :-1]).all()
    np.testing.assert_allclose(weights, SITES / number, rtol=1e-6)


@pytest.mark.parametrize("number", [1, 2, 5, 11])
@pytest.mark.parametrize("name", DESIGNS)
def test_the_variance_is_the_textbooks(name: str, number: int) -> None:
    """N² s²/n, times 1 − n/N without replacement (s² over N − 1) and 1 − 1/N with."""
    sites, weights = redraws(name, number)
    total = (weights * VALUES[sites]).sum(axis=1)
    finite = 1 - number / SITES if name == "without-replacement" else 1 - 1 / SITES
    expected = SITES**2 * VALUES.var(ddof=1) / number * finite
    assert total.var(ddof=1) == pytest.approx(expected, rel=0.05)


def test_distinct_sites_with_replacement() -> None:
    sites, weights = redraws("with-replacement", 5)
    np.testing.assert_allclose(weights, SITES / 5, rtol=1e-6)
    ordered = np.sort(sites, axis=1)
    distinct = 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    expected = SITES * (1 - (1 - 1 / SITES) ** 5)
    z = (distinct.mean() - expected) / (distinct.std() / np.sqrt(REDRAWS))
    assert abs(z) < 4
    assert 0.3 < distinct.std() < 1  # it varies: the forces of a snapshot are not fixed


def test_another_key_draws_other_sites() -> None:
    sites, _ = redraws("without-replacement", 5)
    assert len(np.unique(sites, axis=0)) > REDRAWS * 0.9
