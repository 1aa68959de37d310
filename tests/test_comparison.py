"""The contest in rounds: equal new forces, equal steps, and a value that can be resumed."""

import dataclasses
import itertools

import equinox as eqx
import jax
import numpy as np
import pytest
from catalogue import Ring, closure, states
from test_optimiser import assert_same

import macrokit as mk
from macrokit._sampling import spread_indices
from macrokit.experiments import (
    Contest,
    Learner,
    _comparison,
    compare,
    open_comparison,
    predict,
)
from macrokit.experiments._contest import buy, member_key
from macrokit.systems import PredatorPrey

FULL = Learner("full", "exact", 1.0, model="mlp", width=8)
PART = Learner("part", "lifted", 0.25, model="mlp", width=8)
BUDGETS = (48, 84, 240)  # which are no whole blocks of the first round's size
SYSTEM = PredatorPrey(nodes=6)


def runs(count: int, seed: int) -> mk.Trajectories:
    start = states(SYSTEM, count, seed=seed)
    return mk.simulate(SYSTEM, start, duration=2, step=0.05, every=4)


@pytest.fixture(scope="module")
def contest() -> Contest:
    return Contest(
        SYSTEM,
        closure(SYSTEM),
        runs(8, 0),
        runs(3, 1),
        (FULL, PART),
        BUDGETS,
        steps=10,
        members=2,
        batch=8,
    )


@pytest.fixture(scope="module")
def reports(contest: Contest) -> list:
    """Of a contest that nothing interrupted."""
    return list(compare(contest, every=4))


def test_free_forces_are_known_on_every_site() -> None:
    """In rounds whose last block is not full: what is known for nothing is labelled as by hand."""
    ring = Ring()
    pool = mk.simulate(ring, states(ring, 4), duration=1, step=0.05, every=2)
    part = Learner("part", "difference", 0.25, "without-replacement", model="mlp", width=8)
    contest = Contest(ring, closure(ring), pool, pool, (part,), (9, 21), steps=1, members=1)
    (labels,), cost = buy(contest, part, 0, 21)
    assert (cost, len(labels.z)) == (21, 7)
    snapshot_key, site_key = jax.random.split(member_key(contest, 0, 0))
    run, time = spread_indices(pool.lengths, 7, key=snapshot_key)
    first = mk.sample(
        ring,
        pool.take(run[:3], time[:3]),
        fraction=0.25,
        design=mk.designs.WithoutReplacement(),
        key=jax.random.fold_in(site_key, 0),
    )
    by_hand = mk.label(mk.estimators.Difference(), contest.closure, first, spread=contest.units)
    np.testing.assert_allclose(labels.b[:3], by_hand.b, rtol=1e-4, atol=1e-5)


def timeless(scores) -> list:
    return [dataclasses.replace(score, seconds=0) for score in scores]


@pytest.mark.slow
def test_both_buy_the_same_number_of_forces(contest: Contest, reports: list) -> None:
    final = reports[-1].comparison
    assert [(s.learner, s.forces) for s in final.scores] == [
        (name, budget) for budget in BUDGETS for name in ("full", "part")
    ]
    assert [s.step for s in final.scores] == [10, 10, 20, 20, 30, 30]
    assert final.forces == (240, 240)
    assert [labels.count.tolist() for labels in final.labels] == [[20, 20], [80, 80]]


@pytest.mark.slow
def test_one_core_scores_the_same(
    contest: Contest, reports: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What judges is compiled when its turn comes, and not beside the first steps."""
    threads = []
    monkeypatch.setattr(_comparison, "cores", lambda: 1)
    monkeypatch.setattr(_comparison, "ThreadPoolExecutor", lambda *_: threads.append(1))
    *_, last = compare(contest, every=4)
    for ours, theirs in zip(last.comparison.scores, reports[-1].comparison.scores, strict=True):
        np.testing.assert_allclose(ours.error, theirs.error, rtol=1e-4)
    assert threads == []


@pytest.mark.slow
def test_reports(contest: Contest, reports: list) -> None:
    steps = [4, 8, 10, 14, 18, 20, 24, 28, 30]
    assert [r.done for r in reports] == pytest.approx([step / 30 for step in steps])
    assert [r.round_finished for r in reports] == [step % 10 == 0 for step in steps]
    assert [r.comparison.round for r in reports] == [0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert [len(r.comparison.scores) for r in reports] == [0, 0, 2, 2, 2, 4, 4, 4, 6]
    assert reports[-1].seconds_left == 0 < reports[0].seconds_left
    for report in reports:
        assert [int(s.step) for s in report.comparison.states] == [round(30 * report.done)] * 2
        assert [loss.shape for loss in report.loss] == [(2,), (2,)]
    seconds = np.array([r.comparison.seconds for r in reports])
    assert (np.diff(seconds, axis=0) > 0).all()


@pytest.mark.slow
def test_what_was_bought_is_kept(contest: Contest, reports: list) -> None:
    """The rows of the first round are the first rows of the last."""
    first, final = open_comparison(contest), reports[-1].comparison
    for early, late in zip(first.labels, final.labels, strict=True):
        count = int(early.count[0])
        for name in ("z", "S", "b", "c"):
            ours, theirs = np.asarray(getattr(early, name)), np.asarray(getattr(late, name))
            np.testing.assert_array_equal(ours[:, :count], theirs[:, :count])
            assert not ours[:, count:].any()
        # Members and learners see their own draws; the states of a member are shared by both.
        assert (late.z[0] != late.z[1]).any()
    full, part = (np.asarray(labels.z) for labels in final.labels)
    np.testing.assert_array_equal(full[:, :20], part[:, :20])


@pytest.mark.slow
def test_every_purchase_draws_its_own_sites(reports: list) -> None:
    """Here J is constant, so that S of a snapshot shows which sites were drawn."""
    S = np.asarray(reports[-1].comparison.labels[1].S)
    blocks = [S[:, begin : begin + 12] for begin in (0, 16, 28, 44, 60)]  # rounds and blocks
    for one, other in itertools.combinations(blocks, 2):
        assert not np.allclose(one, other)
    assert not np.allclose(S[0], S[1])


@pytest.mark.slow
def test_every_round_has_a_cosine_of_its_own(reports: list) -> None:
    for report in reports:
        for state in report.comparison.states:
            assert state.schedule.begin == 10 * ((int(state.step) - 1) // 10)
            assert state.schedule.steps == 10


@pytest.mark.slow
def test_scores_are_of_held_out_runs(contest: Contest, reports: list) -> None:
    final = reports[-1].comparison
    test = mk.TestSet(contest.closure, contest.held_out)
    for index, score in enumerate(final.scores[-2:]):
        models = final.models(index)
        np.testing.assert_allclose(score.error, mk.test_errors(models, test), rtol=1e-3)
        assert score.field_error.shape == (2, 4)
        assert (score.field_error > 0).all()


@pytest.mark.slow
def test_predictions_do_not_depend_on_how_many_are_asked(contest: Contest, reports: list) -> None:
    models, test = reports[-1].comparison.models(1), mk.TestSet(contest.closure, contest.held_out)
    few, _ = predict(models, test.start, test.times)
    many, left_at = predict(models, np.tile(test.start, (12, 1)), test.times)
    assert (few.shape, many.shape, left_at.shape) == ((2, 3, 11, 4), (2, 36, 11, 4), (2, 36))
    np.testing.assert_array_equal(many, np.tile(few, (1, 12, 1, 1)))
    single = mk.rollout(mk.member(models, 1), test.start[2], test.times)
    np.testing.assert_allclose(few[1, 2], single.z, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_stop_and_resume(contest: Contest, reports: list, stop: int) -> None:
    stopped = next(itertools.islice(compare(contest, every=4), stop - 1, stop)).comparison
    *_, resumed = compare(contest, stopped, every=7)
    whole = reports[-1].comparison
    assert_same(resumed.comparison.states, whole.states)
    assert_same(resumed.comparison.labels, whole.labels)
    assert resumed.comparison.forces == whole.forces
    for ours, theirs in zip(
        timeless(resumed.comparison.scores), timeless(whole.scores), strict=True
    ):
        assert_same(
            jax.tree.leaves(dataclasses.astuple(ours)), jax.tree.leaves(dataclasses.astuple(theirs))
        )
    assert list(compare(contest, whole)) == []


@pytest.mark.slow
def test_the_learning_rate_is_asked_before_each_chunk(contest: Contest) -> None:
    rates = iter([5e-3, 0.0])
    first, second = itertools.islice(
        compare(contest, every=4, learning_rate=lambda: next(rates)), 2
    )
    for before, after in zip(first.comparison.states, second.comparison.states, strict=True):
        weights = [eqx.filter(s.model.field, eqx.is_array) for s in (before, after)]
        assert_same(*weights)
        assert int(after.step) == 8


def test_a_contest_has_a_seed(contest: Contest) -> None:
    one, same, other = (
        open_comparison(dataclasses.replace(contest, seed=seed)).labels[1].b for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    np.testing.assert_array_equal(one[1], other[0])  # member 1 of seed 0 is member 0 of seed 1


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"estimator": "exakt"},
            r"estimator must be one of \['difference', .*'lifted'\], but got 'exakt'",
        ),
        ({"design": "none"}, "design must be one of .* but got 'none'"),
        ({"model": "rnn"}, r"model must be one of \['gfinn', 'mlp', .*\], but got 'rnn'"),
        ({"scaling": "log"}, r"scaling must be one of \['affine', 'structured'\], but got 'log'"),
    ],
)
def test_unknown_names(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PART, **changes)


@pytest.mark.parametrize("budgets", [(), (96, 48), (48, 48, 96)])
def test_budgets_increase(contest: Contest, budgets: tuple) -> None:
    with pytest.raises(ValueError, match="budgets must increase from round to round, but got"):
        dataclasses.replace(contest, budgets=budgets)


def test_exact_with_partial_forces(contest: Contest) -> None:
    greedy = dataclasses.replace(FULL, fraction=0.5)
    with pytest.raises(ValueError, match=r"needs the force on all 12 sites, but these .* hold 6"):
        dataclasses.replace(contest, learners=(greedy, PART))


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        (
            (6, 48),
            r"buy a snapshot, which is 12 forces for learner 'full', .* \(6, 48\)\. Put them",
        ),
        ((48, 50), r"which is 12 forces for learner 'full', but the budgets are \(48, 50\)"),
        (
            (48, 12_000),
            r"'full' would buy 1000 snapshots, .* 8 trajectories with 88 frames\. Lower",
        ),
    ],
)
def test_budgets_that_cannot_be_spent(contest: Contest, budgets: tuple, message: str) -> None:
    """Said before anything is bought, and not in the last round."""
    with pytest.raises(ValueError, match=message):
        open_comparison(dataclasses.replace(contest, budgets=budgets))
