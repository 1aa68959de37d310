"""The loop under all training: schedules, one step by hand, chunks, ensembles, traces."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import macrokit as mk
from macrokit._optimiser import OPTIMISERS, advance

KEY = jax.random.key(0)
TRACES = []


class Point(eqx.Module):
    """What is trained: a point, next to numbers that must stay."""

    place: Float[Array, " n"]
    scaling: Float[Array, " n"]
    power: int = 2


def pull(point: Point, target: jax.Array, key: jax.Array) -> tuple[Point, jax.Array]:
    """Towards a target, with noise: the gradient and the loss."""
    TRACES.append(1)
    noise = 0.1 * jax.random.normal(key, point.place.shape)
    gradient = point.place - target + noise
    return Point(gradient, jnp.zeros_like(point.scaling), None), (gradient**2).sum()


def rest(point: Point, target: jax.Array, key: jax.Array) -> tuple[Point, jax.Array]:
    """No gradient at all."""
    return jax.tree.map(jnp.zeros_like, eqx.filter(point, eqx.is_array)), jnp.zeros(())


def begin(*, members: int | None = None, key=KEY, steps=50, **settings) -> mk.TrainingState:
    shape = (3,) if members is None else (members, 3)
    place = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    model = Point(place, jnp.ones(shape))
    return mk.start(model, mk.Cosine(0.1, steps), key=key, members=members, **settings)


TARGET = jnp.asarray([1.0, -2.0, 0.5])


def assert_same(one, other) -> None:
    """Every array of both is equal, bit for bit."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        if eqx.is_array(a) and jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


# --- the schedule --------------------------------------------------------------------------------


def test_cosine_by_hand() -> None:
    schedule = mk.Cosine(2.0, 100, begin=50, floor=0.1)
    rates = [float(schedule(jnp.asarray(step))) for step in (0, 50, 75, 100, 150, 400)]
    quarter = 0.1 + 0.9 * (1 + np.cos(np.pi / 4)) / 2
    np.testing.assert_allclose(rates, [2, 2, 2 * quarter, 2 * 0.55, 0.2, 0.2], rtol=1e-5)


def test_cosine_by_default_ends_at_a_thousandth() -> None:
    assert mk.Cosine(5e-3, 10)(jnp.asarray(10)) == pytest.approx(5e-6, rel=1e-4)


# --- one step ------------------------------------------------------------------------------------


def test_the_first_adam_step_by_hand() -> None:
    state = begin()
    gradient, loss = pull(state.model, TARGET, jax.random.fold_in(KEY, 0))
    after, mean = advance(pull, state, TARGET, 1)
    g = np.asarray(gradient.place)
    expected = np.asarray(state.model.place) - 0.1 * g / (np.abs(g) + 1e-8)
    np.testing.assert_allclose(after.model.place, expected, rtol=1e-5)
    np.testing.assert_allclose(mean, loss, rtol=1e-5)
    assert int(after.step) == 1
    np.testing.assert_array_equal(state.model.scaling, after.model.scaling)


def test_amsgrad_by_hand() -> None:
    """m̂/(√v̂ + ε), with v̂ from the largest v so far and the present correction, as in PyTorch; Adam
    with its own v. After a large gradient Adam's steps grow again, and those of AMSGrad do not."""
    sizes = [100.0, *[1.0] * 3_000]

    def expected(decay: float, *, largest: bool) -> float:
        m = v = most = 0.0
        for t, size in enumerate(sizes, start=1):
            m, v = 0.9 * m + 0.1 * size, decay * v + (1 - decay) * size**2
            most = max(v, most) if largest else v
            step = m / (1 - 0.9**t) / (np.sqrt(most / (1 - decay**t)) + 1e-8)
        return step

    def gradient(point: Point, size: jax.Array, key: jax.Array) -> tuple[Point, jax.Array]:
        place = jnp.full_like(point.place, size)
        return Point(place, jnp.zeros_like(point.scaling), None), jnp.zeros(())

    steps = {}
    for optimiser in OPTIMISERS:
        state = begin(optimiser=optimiser, steps=1e9)
        for size, count in ((100.0, 1), (1.0, 2_999)):
            state, _ = advance(gradient, state, jnp.float32(size), count)
        after, _ = advance(gradient, state, jnp.float32(1.0), 1)
        steps[optimiser] = float((state.model.place - after.model.place)[0]) / 0.1
    assert steps["adam"] == pytest.approx(expected(0.999, largest=False), rel=1e-2)
    assert steps["adam-0.95"] == pytest.approx(expected(0.95, largest=False), rel=1e-2)
    assert steps["amsgrad"] == pytest.approx(expected(0.999, largest=True), rel=1e-2)
    assert steps["adam"] > 2 * steps["amsgrad"]


def test_adam_does_not_decay() -> None:
    after, _ = advance(rest, begin(), TARGET, 5)
    np.testing.assert_array_equal(after.model.place, begin().model.place)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_optimiser_goes_to_the_target(optimiser: str) -> None:
    after, _ = advance(pull, begin(optimiser=optimiser, steps=400), TARGET, 400)
    distance = np.abs(np.asarray(after.model.place) - TARGET).max()
    assert 1e-4 < distance < 0.15  # there, but for the noise


def test_an_unknown_optimiser_is_refused() -> None:
    message = r"optimiser must be one of \['adam', 'adam-0.95', 'amsgrad'\], but got 'sgd'"
    with pytest.raises(ValueError, match=message):
        begin(optimiser="sgd")


# --- chunks and ensembles ------------------------------------------------------------------------


@pytest.mark.parametrize("members", [None, 2, 3])
def test_chunks_change_nothing(members: int | None) -> None:
    whole, mean = advance(pull, begin(members=members), TARGET, 12)
    state, losses = begin(members=members), []
    for count in (5, 1, 6):
        state, loss = advance(pull, state, TARGET, count)
        losses.append(count * np.asarray(loss))
    assert_same(state, whole)
    np.testing.assert_allclose(sum(losses) / 12, mean, rtol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_a_member_is_what_it_is_alone(members: int, shared: bool) -> None:
    """Also where the ensemble is split over threads, into groups of one or of several."""
    keys = jax.random.split(jax.random.key(7), members)
    targets = TARGET[None] + jnp.arange(members, dtype=float)[:, None]
    together, losses = advance(
        pull, begin(members=members, key=keys), TARGET if shared else targets, 9, shared=shared
    )
    assert losses.shape == (members,)
    for i in range(members):
        model = mk.member(begin(members=members).model, i)
        alone = mk.start(model, mk.Cosine(0.1, 50), key=keys[i])
        alone, loss = advance(pull, alone, TARGET if shared else targets[i], 9)
        np.testing.assert_allclose(together.model.place[i], alone.model.place, rtol=2e-6)
        np.testing.assert_allclose(losses[i], loss, rtol=1e-5)


def test_members_draw_their_own_batches() -> None:
    same = jax.tree.map(lambda a: jnp.stack([a, a]) if eqx.is_array(a) else a, begin().model)
    state = mk.start(same, mk.Cosine(0.1, 50), key=KEY, members=2)
    after, _ = advance(pull, state, TARGET, 3)
    assert (after.model.place[0] != after.model.place[1]).all()


def test_every_step_draws_a_batch_of_its_own() -> None:
    state = eqx.tree_at(lambda s: s.schedule, begin(), mk.Cosine(0.0, 50))  # nothing moves
    losses = []
    for _ in range(6):
        state, loss = advance(pull, state, TARGET, 1)
        losses.append(float(loss))
    assert len(set(losses)) == 6


def test_what_a_slider_moves_does_not_retrace() -> None:
    state, _ = advance(pull, begin(members=2), TARGET, 2)
    before = len(TRACES)
    for schedule in (mk.Cosine(0.5, 50), mk.Cosine(1, 99, begin=3, floor=0)):
        state = eqx.tree_at(lambda s: s.schedule, state, schedule)
        state, _ = advance(pull, state, 2 * TARGET, 7)
    assert len(TRACES) == before > 0
