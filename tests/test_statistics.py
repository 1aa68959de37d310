"""Intervals over seeds: against tables, against their coverage, and their errors."""

import numpy as np
import pytest

from macrokit.experiments import (
    agreement,
    costs_to_reach,
    forces_to_reach,
    interval,
    means,
    paired_ratio,
    rank_correlation,
    time_spent,
)


def test_the_interval_is_students() -> None:
    """t = 2.3534 for 90 % and 3 degrees of freedom, 3.1824 for 95 % (any table)."""
    spread = np.std([1, 2, 3, 4], ddof=1) / 2
    assert interval([1, 2, 3, 4]) == pytest.approx(
        (2.5 - 2.3534 * spread, 2.5 + 2.3534 * spread), rel=1e-4
    )
    assert interval([1, 2, 3, 4], level=0.95)[1] == pytest.approx(2.5 + 3.1824 * spread, rel=1e-4)


def test_nine_of_ten_intervals_hold_the_mean() -> None:
    draws = np.random.default_rng(0).normal(3, 2, size=(4_000, 6))
    held = [low < 3 < high for low, high in map(interval, draws)]
    assert 0.88 < np.mean(held) < 0.92  # 4 standard errors


def test_pairs_cancel_what_seeds_have_in_common() -> None:
    rng = np.random.default_rng(1)
    seeds = np.exp(2 * rng.normal(size=16))
    ratio, low, high = paired_ratio(1.5 * seeds * np.exp(0.05 * rng.normal(size=16)), seeds)
    assert 1.4 < low < ratio < high < 1.6
    assert paired_ratio(seeds, 1.5 * seeds) == pytest.approx([1 / 1.5] * 3)
    equal = paired_ratio(seeds * np.exp(0.05 * rng.normal(size=16)), seeds)
    assert equal[1] < 1 < equal[2]


def test_ranks_with_ties_and_divergence() -> None:
    def runs(predicted: list, errors: list) -> list[dict]:
        pairs = zip(predicted, errors, strict=True)
        return [{"predicted": p, "error_mean": e} for p, e in pairs]

    assert rank_correlation(runs([1, 2, 9], [0.1, 0.2, 0.3])) == pytest.approx(1)
    assert rank_correlation(runs([1, 2, 9], [0.3, 0.2, 0.1])) == pytest.approx(-1)
    assert rank_correlation(runs([1, 2, 9], [0.1, 0.2, None])) == pytest.approx(1)
    # Ranks 1.5 1.5 3 against 1 2 3: the correlation of these is √3/2.
    assert rank_correlation(runs([1, 1, 9], [0.1, 0.2, 0.3])) == pytest.approx(np.sqrt(3) / 2)


def test_wrong_numbers_of_seeds() -> None:
    with pytest.raises(ValueError, match="at least two seeds, but got 1"):
        interval([1.0])
    with pytest.raises(ValueError, match="as many of each, but got 2 and 3"):
        paired_ratio([1, 2], [1, 2, 3])


def test_forces_to_reach_an_error() -> None:
    """Two seeds whose errors fall as 1/forces and as 1/√forces, one that is good from the first
    budget on, one that never is, and one that diverged before."""
    budgets = (1_600, 100, 400)
    laws = (lambda n: 1 / n, lambda n: n**-0.5, lambda n: 1e-4, lambda n: 1.0)
    runs = [
        {
            "forces_training": n,
            "errors": [law(n) for law in laws] + [None if n < 1_600 else 1e-3],
        }
        for n in budgets
    ]
    assert forces_to_reach(0.004, runs) == pytest.approx([250, np.inf, 100, np.inf, 1_600])
    assert forces_to_reach(0.04, runs)[1] == pytest.approx(625)


def test_costs_to_reach_an_error_by_size_and_estimator() -> None:
    def of_size(sites: int, drawn: int, forces: int, errors: list[float]) -> dict:
        return {
            "estimator": "exact" if drawn == sites else "difference",
            "sites": sites,
            "fraction": drawn / sites,
            "forces_training": forces,
            "errors": errors,
            "snapshot_seconds": {"force": 0.03, "encoding": 0.02},
        }

    full, part, larger = costs_to_reach(
        2e-2,
        [
            of_size(100, 100, 1_000, [4e-2, 4e-2]),
            of_size(100, 100, 4_000, [1e-2, 1e-2]),
            of_size(100, 50, 500, [1e-2, 4e-3]),
            of_size(400, 400, 4_000, [3e-2, 3e-2]),
        ],
    )
    assert (full["estimator"], full["sites"], full["reached"]) == ("exact", 100, True)
    assert full["forces"] == pytest.approx([2_000] * 2)
    assert full["seconds"] == pytest.approx([2_000 * 0.05 / 100] * 2)
    assert (part["estimator"], part["reached"]) == ("difference", True)
    assert part["seconds"] == pytest.approx([0.5] * 2)
    assert (larger["sites"], larger["reached"]) == (400, False)
    assert larger["forces"] == pytest.approx([4_000] * 2)


def entry(loss: str, forces: int, mean: float | None, spread: float | None) -> dict:
    said = {"loss": loss, "forces_drawn": forces, "forces_training": forces - 7}
    return said | {"error_mean": mean, "error_std": spread}


def test_runs_as_a_table() -> None:
    runs = [entry("a", 10, 0.2, 0.1), entry("a", 20, 0.1, 0.0), entry("b", 10, None, None)]
    table = means(runs, lambda run: f"loss {run['loss']}")
    assert table == {"loss a": {10: (0.2, 0.1), 20: (0.1, 0.0)}}


def test_agreement_is_two_of_the_larger_deviation() -> None:
    """On both sides, or above only for no worse; never where it diverged."""
    published = {"a": {10: (0.2, 0.1), 20: (0.2, 0.0), 30: (0.2, 0.01), 40: (0.2, 1.0)}}
    found = [
        entry("a", 10, 0.39, 0.01),
        entry("a", 20, 0.05, 0.0),
        entry("a", 30, 0.23, 0.01),
        entry("a", 40, None, None),
    ]
    cells = agreement(found, published)
    assert [cell["no_worse"] for cell in cells] == [True, True, False, False]
    assert [cell["agrees"] for cell in cells] == [True, False, False, False]
    assert [cell["allowed"] for cell in cells] == pytest.approx([0.2, 0.0, 0.02, 2.0])
    assert cells[0]["found"] == 0.39


def test_shared_seconds_count_once() -> None:
    def run(sites: int, closure: str, training: float, closures: float = 5.0) -> dict:
        parts = {"data": float(sites), "closure": closures, "training": training}
        shared = {"sites": sites, "closure": closure, "closure_seed": 0}
        return shared | {"seconds": training, "seconds_of": parts}

    runs = [
        run(100, "linear", 1),
        run(100, "linear", 2),
        run(100, "other", 3),
        run(200, "other", 4),
    ]
    assert time_spent(runs) == {"data": 300, "closure": 15, "training": 10}
    assert time_spent([*runs, runs[0]]) == time_spent(runs)
    assert time_spent([{"seconds": 2.0}, {"seconds": 3.0}]) == {"not taken apart": 5}
