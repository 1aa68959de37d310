"""Designs: what the weights promise, over 10,000 redraws at a fixed key."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import DESIGNS, Ring, state

import macrokit as mk
from macrokit.designs._blocks import blocks

REDRAWS = 10_000
SYSTEM = Ring()
SITES = SYSTEM.num_sites
STATE = state(SYSTEM)
VALUES = np.random.default_rng(1).normal(1.0, 2.0, SITES)


@functools.cache
def redraws(name: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Sites and weights, (redraws, number) each."""
    design = DESIGNS[name]()
    keys = jax.random.split(jax.random.key(7), REDRAWS)
    drawn = jax.jit(jax.vmap(lambda key: design.draw(SYSTEM, STATE, number, key=key)))(keys)
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


@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("name", DESIGNS)
def test_sites_are_included_as_often_as_is_said(name: str, number: int) -> None:
    sites, _ = redraws(name, number)
    drawn = np.zeros((REDRAWS, SITES))
    drawn[np.arange(REDRAWS)[:, None], sites] = 1
    said = np.asarray(DESIGNS[name]().inclusion(SYSTEM, STATE, number))
    z = (drawn.mean(axis=0) - said) / np.sqrt(said * (1 - said) / REDRAWS)
    assert 0.5 < np.abs(z).max() < 4


@pytest.mark.parametrize("number", [1, 2, 5, 11, SITES])
@pytest.mark.parametrize("name", DESIGNS)
def test_the_variance_is_known(name: str, number: int) -> None:
    sites, weights = redraws(name, number)
    totals = (weights * VALUES[sites]).sum(axis=1)
    (known,) = DESIGNS[name]().variance(SYSTEM, STATE, number, VALUES[:, None])
    if name == "systematic":  # its few samples are equally likely: enumerate them
        totals = totals[np.unique(np.sort(sites, axis=1), axis=0, return_index=True)[1]]
        assert len(totals) <= SITES
        assert known == pytest.approx(totals.var(), rel=1e-4, abs=1e-3)
    else:
        assert known == pytest.approx(totals.var(ddof=1), rel=0.05, abs=1e-3)
    never_twice = name not in ("with-replacement", "proportional-to-size")
    assert (float(known) < 1e-3) == (never_twice and number == SITES)


@pytest.mark.parametrize("number", [1, 2, 5, 11])
@pytest.mark.parametrize("name", ["without-replacement", "with-replacement"])
def test_the_variance_is_the_textbooks(name: str, number: int) -> None:
    """N² s²/n, times 1 − n/N without replacement (s² over N − 1) and 1 − 1/N with."""
    finite = 1 - number / SITES if name == "without-replacement" else 1 - 1 / SITES
    expected = SITES**2 * VALUES.var(ddof=1) / number * finite
    (known,) = DESIGNS[name]().variance(SYSTEM, STATE, number, VALUES[:, None])
    assert known == pytest.approx(expected, rel=1e-5)


# --- blocks --------------------------------------------------------------------------------------


class Grid(mk.systems.AbstractSystem):
    """Sites on a square grid of two kinds, the first 24 and the rest; only places matter here."""

    num_sites: int = 64
    num_channels: int = 1
    moving: bool = False

    force = force_at = observable = None

    @property
    def site_positions(self):
        return np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0)), axis=-1).reshape(64, 2)

    def positions(self, x):
        return x if self.moving else self.site_positions

    @property
    def site_kinds(self):
        return (np.arange(64) >= 24).astype(int)


@pytest.mark.parametrize("number", [1, 2, 3, 7, 16, 40, 64])
def test_blocks_are_compact_and_of_one_kind(number: int) -> None:
    grid = Grid()
    order, sizes = blocks(grid, jnp.zeros((64, 1)), number)
    assert sorted(order.tolist()) == list(range(64))
    assert len(sizes) == number
    assert sizes.sum() == 64
    parts = np.split(order, np.cumsum(sizes)[:-1])
    if number >= 2:
        assert all(len(set(grid.site_kinds[part])) == 1 for part in parts)
        kinds = grid.site_kinds[[part[0] for part in parts]]
        for kind in (0, 1):  # nearly equal within a kind, and in proportion to its sites
            own = sizes[kinds == kind]
            assert own.max() - own.min() <= 2
        assert abs((kinds == 0).sum() - number * 24 / 64) < 1
    if number >= 7:
        within = sum(grid.site_positions[part].var(axis=0).sum() * len(part) for part in parts) / 64
        # The mean square distance from the centre of a square of that many sites is size/6.
        assert within < 1.5 * (64 / number) / 6


def test_blocks_of_sites_that_move_are_cut_in_the_state() -> None:
    """By JAX, under jit, and the same as by NumPy where the sites have not moved."""
    still, moving = Grid(), Grid(moving=True)
    order, sizes = blocks(still, jnp.zeros((64, 1)), 10)
    cut = jax.jit(lambda x: blocks(moving, x, 10)[0])
    np.testing.assert_array_equal(cut(jnp.asarray(still.site_positions)), order)
    turned = cut(jnp.asarray(still.site_positions[:, ::-1]))
    assert (np.asarray(turned) != order).any()
    draw = jax.jit(lambda x, key: mk.designs.Stratified().draw(moving, x, 10, key=key))
    sites, weights = draw(jnp.asarray(still.site_positions), jax.random.key(0))
    block = np.repeat(np.arange(10), sizes)[np.argsort(order)]
    np.testing.assert_array_equal(block[np.asarray(sites)], np.arange(10))
    np.testing.assert_array_equal(weights, sizes)


def test_stratified_draws_one_of_each_block_of_prey_and_of_predators() -> None:
    system = mk.systems.PredatorPrey(nodes=50)
    draw = mk.designs.Stratified().draw
    sites, weights = draw(system, jnp.zeros((100, 1)), 20, key=jax.random.key(0))
    np.testing.assert_array_equal(np.asarray(sites) // 5, np.arange(20))
    np.testing.assert_array_equal(weights, 5)


@pytest.mark.parametrize(("number", "bound"), [(20, 0.25), (50, 0.08)])
def test_strata_beat_drawing_with_replacement(number: int, bound: float) -> None:
    """The noise of the observables' rates on predator–prey: by place, and after lifting by state.

    Lifting leaves what varies from node to node, which blocks of neighbours do not catch. By state
    nearly nothing is left: the paper's starts repeat each value on five nodes.
    """
    system, phi = mk.systems.PredatorPrey(), mk.pretrained("predator-prey")
    full, _ = mk.experiments.example_snapshots("predator-prey")

    @jax.jit
    def ratios(x: jax.Array, f: jax.Array) -> jax.Array:
        jacobian = phi.jacobian(x)
        y = jnp.einsum("dnc,nc->d", jacobian, f)
        residual = f - jnp.einsum("dnc,d->nc", phi.lift(x), y)

        def noise(design: mk.designs.AbstractDesign, force: jax.Array) -> jax.Array:
            values = jnp.einsum("dnc,nc->nd", jacobian, force)[:, :2]
            return design.variance(system, x, number, values).sum()

        place, state = mk.designs.Stratified(), mk.designs.Stratified("state")
        independent = mk.designs.WithReplacement()
        pairs = [(place, f), (independent, f), (state, residual), (independent, residual)]
        return jnp.stack([noise(*pair) for pair in pairs])

    place, direct, state, lifted = np.asarray(
        jax.jit(jax.vmap(ratios))(full.x[:200], full.force[:200])
    ).mean(axis=0)
    assert 0.1 * bound < place / direct < bound
    assert state / lifted < 0.5 * bound
    assert lifted < 0.01 * direct


# --- the rest ------------------------------------------------------------------------------------


def test_no_size_no_draw() -> None:
    with pytest.raises(ValueError, match=r"needs a size for each site.*closure\.site_norms"):
        mk.designs.ProportionalToSize().draw(SYSTEM, STATE, 3, key=jax.random.key(0))


@pytest.mark.parametrize("wrong", [-1.0, jnp.nan, jnp.inf])
def test_impossible_sizes(wrong: float) -> None:
    size = jnp.ones(SITES).at[2].set(wrong)
    design = mk.designs.ProportionalToSize(lambda x: size)
    with pytest.raises(Exception, match="must be finite, none of them negative and not all zero"):
        design.draw(SYSTEM, STATE, 5, key=jax.random.key(0))


def test_a_site_without_size_is_never_drawn_and_may_have_no_value() -> None:
    size = jnp.ones(SITES).at[2].set(0)
    design = mk.designs.ProportionalToSize(lambda x: size)
    sites, _ = design.draw(SYSTEM, STATE, 1000, key=jax.random.key(0))
    assert set(np.asarray(sites).tolist()) == set(range(SITES)) - {2}
    values = jnp.asarray(np.stack([VALUES, VALUES], axis=1), jnp.float32).at[2, 0].set(0)
    known, lost = design.variance(SYSTEM, STATE, 5, values)
    others = np.delete(VALUES, 2)
    expected = ((SITES - 1) * (others**2).sum() - others.sum() ** 2) / 5
    np.testing.assert_allclose(known, expected, rtol=1e-4)
    assert lost == np.inf


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
