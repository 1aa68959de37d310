"""Training: the direction, an iterator whose state is a value, and what is learned."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import Heat, LinearField
from test_optimiser import assert_same

import macrokit as mk
from macrokit._training import Direction
from macrokit.estimators import Labels

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
TRACES = []


class Traced(LinearField):
    """A linear field that counts how often it is traced."""

    def __call__(self, z):
        TRACES.append(1)
        return self.weight @ z


def random_labels(count: int = 60, *, seed: int = 0) -> Labels:
    rng = np.random.default_rng(seed)
    z, b = rng.normal(size=(2, count, 3)).astype(np.float32)
    root = rng.normal(size=(count, 3, 3)).astype(np.float32)
    S = np.einsum("nij,nik->njk", root, root)
    return Labels(*map(jnp.asarray, (z, S, b, rng.normal(size=count).astype(np.float32), count)))


def field(seed: int = 0) -> Traced:
    weight = np.random.default_rng(seed).normal(size=(3, 3)).astype(np.float32)
    return Traced(jnp.asarray(weight), 3)


def begin(model=None, *, members=None, key=KEY) -> mk.TrainingState:
    return mk.start(model or field(), mk.Cosine(0.01, 40), key=key, members=members)


def last(*arguments, **settings) -> mk.Progress:
    *_, progress = mk.train(*arguments, **({"batch": 8, "every": 100} | settings))
    return progress


# --- the direction -------------------------------------------------------------------------------


def test_the_direction_is_the_gradient_of_the_loss() -> None:
    """Half of that of mean gᵀS g − 2 bᵀg + c over the batch."""
    labels, model = random_labels(), field()
    gradient, value = Direction(16)(model, labels, KEY)
    chosen = jax.random.randint(KEY, (16,), 0, 60)

    def loss(model: Traced) -> jax.Array:
        g = labels.z[chosen] @ model.weight.T
        S, b, c = labels.S[chosen], labels.b[chosen], labels.c[chosen]
        return jnp.mean(jnp.einsum("ni,nij,nj->n", g, S, g) - 2 * (b * g).sum(axis=1) + c)

    expected, half = eqx.filter_value_and_grad(loss)(model)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    np.testing.assert_allclose(gradient.weight, half.weight / 2, rtol=1e-4, atol=1e-5)


def test_a_metric_that_is_not_symmetric_has_a_direction_too() -> None:
    """S g − b pulled back through g, and not the gradient of any loss."""
    labels, model = random_labels(), field()
    labels = eqx.tree_at(
        lambda d: d.S, labels, jnp.asarray(RNG.normal(size=(60, 3, 3)), jnp.float32)
    )
    gradient, _ = Direction(16)(model, labels, KEY)
    chosen = np.asarray(jax.random.randint(KEY, (16,), 0, 60))
    z, S, b = (np.asarray(a)[chosen] for a in (labels.z, labels.S, labels.b))
    residual = np.einsum("nij,nj->ni", S, z @ np.asarray(model.weight).T) - b
    np.testing.assert_allclose(gradient.weight, residual.T @ z / 16, rtol=1e-4, atol=1e-5)


# --- an iterator whose state is a value ----------------------------------------------------------


@pytest.mark.parametrize("members", [None, 2])
def test_chunks_change_nothing(members: int | None) -> None:
    model = field() if members is None else mk.stack([field(0), field(1)])
    state, labels = begin(model, members=members), random_labels()
    whole = last(state, labels, steps=30)
    for every in (7, 29, 1000):
        assert_same(last(state, labels, steps=30, every=every).state, whole.state)


def test_stop_and_resume(tmp_path) -> None:
    """By passing the state back, and by way of a file: bit by bit the run that was not stopped."""
    labels = random_labels()
    whole = last(begin(), labels, steps=30)
    stopped = next(itertools.islice(mk.train(begin(), labels, steps=30, every=6, batch=8), 2, 3))
    assert stopped.step == 18
    assert_same(last(stopped.state, labels, steps=30).state, whole.state)

    mk.save(tmp_path / "run.mk", stopped.state)
    loaded = mk.load(tmp_path / "run.mk", like=begin(field(seed=5), key=jax.random.key(9)))
    assert_same(loaded, stopped.state)
    assert_same(last(loaded, labels, steps=30).state, whole.state)


def test_reports() -> None:
    reports = list(mk.train(begin(), random_labels(), steps=25, every=10, batch=8))
    assert [(r.step, r.steps) for r in reports] == [(10, 25), (20, 25), (25, 25)]
    seconds = [r.seconds for r in reports]
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    assert [r.seconds_left > 0 for r in reports] == [True, True, False]
    assert all(np.isfinite(r.loss) for r in reports)
    assert list(mk.train(reports[-1].state, random_labels(), steps=25)) == []


def test_the_loss_is_the_mean_since_the_last_report() -> None:
    one_by_one = [
        float(r.loss) for r in mk.train(begin(), random_labels(), steps=6, every=1, batch=8)
    ]
    together = last(begin(), random_labels(), steps=6)
    assert float(together.loss) == pytest.approx(np.mean(one_by_one), rel=1e-5)


def test_a_key_gives_a_run() -> None:
    labels = random_labels()
    one, same, other = (
        last(begin(key=jax.random.key(seed)), labels, steps=9).state.model for seed in (1, 1, 2)
    )
    assert_same(one, same)
    assert (one.weight != other.weight).any()


# --- ensembles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_a_member_is_what_it_is_alone(shared: bool) -> None:
    models, keys = [field(seed) for seed in range(3)], jax.random.split(KEY, 3)
    data = [random_labels(seed=0 if shared else seed) for seed in range(3)]
    labels = data[0] if shared else mk.stack(data)
    together = last(begin(mk.stack(models), members=3, key=keys), labels, steps=20)
    assert together.loss.shape == (3,)
    for i in range(3):
        alone = last(begin(models[i], key=keys[i]), data[i], steps=20)
        found = mk.member(together.state.model, i)
        np.testing.assert_allclose(found.weight, alone.state.model.weight, rtol=1e-5, atol=1e-6)
        assert together.loss[i] == pytest.approx(float(alone.loss), rel=1e-4)


def test_stack_and_member_are_inverse() -> None:
    models = [field(seed) for seed in range(3)]
    for i, model in enumerate(models):
        assert_same(mk.member(mk.stack(models), i), model)


def test_members_with_other_settings_are_refused() -> None:
    def net(alpha: float) -> mk.macro.OnsagerNet:
        return mk.macro.OnsagerNet(2, 4, alpha=alpha, key=KEY)

    with pytest.raises(ValueError, match="may differ in their arrays only"):
        mk.stack([net(0.1), net(0.2)])


# --- labels that grow ----------------------------------------------------------------------------


def test_padding_is_never_seen() -> None:
    labels = random_labels()
    spoiled = labels.padded(90)
    spoiled = eqx.tree_at(
        lambda d: (d.z, d.S, d.b, d.c),
        spoiled,
        [a.at[60:].set(jnp.nan) for a in (spoiled.z, spoiled.S, spoiled.b, spoiled.c)],
    )
    assert_same(last(begin(), spoiled, steps=30).state, last(begin(), labels, steps=30).state)


def test_all_labels_in_use_are_seen() -> None:
    """Each row alone can spoil the run: none is left out."""
    for row in (0, 31, 59):
        labels = random_labels()
        spoiled = eqx.tree_at(lambda d: d.b, labels, labels.b.at[row].set(jnp.nan))
        assert np.isnan(last(begin(), spoiled, steps=60).loss)


def test_what_changes_in_a_run_does_not_retrace() -> None:
    labels = random_labels()
    last(begin(), labels, steps=3)
    before = len(TRACES)
    for count in (3, 40, 59):
        grown = eqx.tree_at(lambda d: d.count, labels, jnp.asarray(count))
        last(begin(field(seed=count)), grown, steps=count, every=count)
    last(begin(), random_labels(70), steps=3)
    state = eqx.tree_at(lambda s: s.schedule, begin(), mk.Cosine(0.5, 7, begin=2))
    last(state, labels, steps=3)
    assert len(TRACES) == before > 0


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, "every must be at least 1 step, but got 0"),
        ({"batch": 0}, "batch must be at least 1 snapshot, but got 0"),
    ],
)
def test_bad_input(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        last(begin(), random_labels(), steps=3, **settings)


# --- what is learned -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "fraction", "least", "most"),
    [("exact", 1.0, 0, 1e-4), ("lifted", 1.0, 0, 1e-4), ("lifted", 0.25, 1e-3, 0.05)],
)
def test_a_known_linear_field_is_learned(
    estimator: str, fraction: float, least: float, most: float
) -> None:
    """Of heat on a ring, whose Fourier modes decay one by one at known rates."""
    system, truth = Heat(), Heat().macroscopic()
    x = RNG.normal(size=(750, 3)) @ system.modes() + 0.1 * RNG.normal(size=(750, 16))
    x = jnp.asarray(np.concatenate([x, -x])[..., None], jnp.float32)  # the mean is zero
    bought = mk.sample(system, x, fraction=fraction, key=KEY)
    labels = mk.label(mk.estimators.TABLE[estimator](), system.closure(), bought)
    model = mk.macro_model(LinearField(jnp.zeros((3, 3)), 3), labels)
    model = mk.fit(model, labels, steps=3000, learning_rate=0.05, progress=False, key=KEY)
    spread, time = model.scaling.spread, model.scaling.time
    learned = np.diag(spread) @ np.asarray(model.field.weight) @ np.diag(1 / spread) / time

    # The optimum: Σ S W z zᵀ = Σ b zᵀ, solved for W.
    z, S, b = (np.asarray(a, np.float64) for a in (labels.z, labels.S, labels.b))
    system_of_equations = np.einsum("nij,nk,nl->ilkj", S, z, z).reshape(9, 9)
    optimum = np.linalg.solve(system_of_equations, (b.T @ z).reshape(9)).reshape(3, 3).T
    scale = np.abs(truth).max()
    assert np.abs(learned - optimum).max() / scale < 3e-3
    assert least <= np.abs(learned - truth).max() / scale < most


def test_noise_moves_z_by_a_share_of_its_spread(double) -> None:
    """With g(z) = z and S = 1 the direction of the weight is mean (z + ν) zᵀ: E νν is seen."""
    labels = random_labels(400)
    eye = jnp.broadcast_to(jnp.eye(3), labels.S.shape)
    labels = Labels(labels.z, eye, jnp.zeros_like(labels.b), labels.c, labels.count)
    model = LinearField(jnp.eye(3), 3)
    quiet, loud = (Direction(20_000, noise)(model, labels, KEY)[0].weight for noise in (0.0, 0.5))
    variance = np.asarray(labels.z).var(axis=0)
    expected = 0.25 * np.diag(variance)
    np.testing.assert_allclose(loud - quiet, expected, atol=0.05 * variance.max())
    assert np.abs(np.diag(loud - quiet) - 0.25 * variance).max() < 0.3 * 0.25 * variance.min()


def test_noise_with_a_restoring_rate_makes_the_states_attract(double) -> None:
    """For a linear g and y = A z the optimum is known: G = (A C − λ D)(C + D)⁻¹, C and D the second
    moments of z and of ν. Across a line of states it is −λ, along it A but for λ 0.0002."""
    z = jnp.linspace(-1, 1, 400)[:, None] * jnp.array([[1.0, 1.0]])
    rates, share, restoring = jnp.diag(jnp.array([-1.0, -1.0])), 0.02, 30.0
    eye = jnp.broadcast_to(jnp.eye(2), (400, 2, 2))
    labels = Labels(z, eye, z @ rates.T, jnp.zeros(400), jnp.asarray(400, jnp.int32))
    moments, added = z.T @ z / 400, share**2 * jnp.diag(z.var(axis=0))
    optimum = (rates @ moments - restoring * added) @ jnp.linalg.inv(moments + added)
    across, along = jnp.array([1.0, -1.0]) / jnp.sqrt(2), jnp.array([1.0, 1.0]) / jnp.sqrt(2)
    assert across @ optimum @ across == pytest.approx(-restoring, rel=1e-6)
    assert along @ optimum @ along == pytest.approx(-1, abs=0.01)

    def steepness(matrix: jax.Array, restoring: float) -> float:
        direction = Direction(100_000, share, restoring)
        return float(jnp.abs(direction(LinearField(matrix, 2), labels, KEY)[0].weight).max())

    assert steepness(optimum, restoring) < 8e-4  # 100,000 draws leave 3e-4
    assert steepness(optimum, 0.0) > 3.5e-3
    assert steepness(rates, restoring) > 3.5e-3
