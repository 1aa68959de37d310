"""What the errors of several seeds allow to be said."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .._types import AnyArray

Errors = Sequence[float] | Float[AnyArray, " seeds"]


def interval(errors: Errors, *, level: float = 0.9) -> tuple[float, float]:
    """Student's interval of the mean error over seeds: m ± t s/√n, t with n − 1 degrees of freedom.

    Raises `ValueError` with fewer than two errors.
    """
    return _student(np.asarray(errors, float), level)


def paired_ratio(
    errors: Errors, others: Errors, *, level: float = 0.9
) -> tuple[float, float, float]:
    """How many times larger `errors` are than `others`, seed by seed, with its interval.

    exp of the mean of log(eᵢ/oᵢ) and of Student's interval about it. Seed i of both drew the same
    snapshots, weights and batches, so that what is common to them cancels. An interval that holds 1
    is a difference that is not significant.
    """
    if len(errors) != len(others):
        raise ValueError(f"Pairs need as many of each, but got {len(errors)} and {len(others)}.")
    ratios = np.log(np.asarray(errors, float)) - np.log(np.asarray(others, float))
    low, high = _student(ratios, level)
    return float(np.exp(ratios.mean())), float(np.exp(low)), float(np.exp(high))


def rank_correlation(runs: Sequence[dict[str, Any]]) -> float:
    """Spearman's rank correlation, ties at their mean rank, of what the gauge expected of each run
    (`predicted`) and of the mean error that its seeds had. A run with a diverged seed ranks last.
    """
    from scipy.stats import spearmanr  # slow to import, and seldom wanted

    errors = [or_infinite(run["error_mean"]) for run in runs]
    return float(spearmanr([run["predicted"] for run in runs], errors).statistic)


def forces_to_reach(error: float, runs: Sequence[dict[str, Any]]) -> Float[np.ndarray, " seeds"]:
    """Of each seed, how many forces its first error at or below `error` took.

    - `runs`: of one learner, with the same seeds and more and more forces.

    Between the last budget above and the first one at or below, straight in log(error) against
    log(forces). The smallest budget where that is enough already, ∞ where none is.
    """
    runs = sorted(runs, key=lambda run: run["forces_training"])
    forces = np.array([run["forces_training"] for run in runs], float)
    errors = np.array([[or_infinite(e) for e in run["errors"]] for run in runs])
    taken = np.full(errors.shape[1], np.inf)
    for seed, own in enumerate(errors.T):
        below = np.flatnonzero(own <= error)
        if len(below):
            k = below[0]
            taken[seed] = forces[k]
            if k and np.isfinite(own[k - 1]):
                share = np.log(own[k - 1] / error) / np.log(own[k - 1] / own[k])
                taken[seed] = forces[k - 1] * (forces[k] / forces[k - 1]) ** share
    return taken


def costs_to_reach(error: float, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each estimator paid for an `error` by size of the system: `forces` of each seed, and the
    `seconds` that they and their labels take by the measured `snapshot_seconds`. Where not all
    seeds `reached` it, the largest budget stands for those that did not.

    - `runs`: of several sizes, estimators and budgets.
    """
    costs = []
    for estimator, sites in dict.fromkeys((run["estimator"], run["sites"]) for run in runs):
        mine = [run for run in runs if (run["estimator"], run["sites"]) == (estimator, sites)]
        forces = forces_to_reach(error, mine)
        most = max(run["forces_training"] for run in mine)
        snapshot = mine[0]["snapshot_seconds"]
        each = (snapshot["force"] + snapshot["encoding"]) / (mine[0]["fraction"] * sites)
        costs.append(
            {
                "estimator": estimator,
                "sites": sites,
                "reached": bool(np.isfinite(forces).all()),
                "forces": np.minimum(forces, most),
                "seconds": np.minimum(forces, most) * each,
            }
        )
    return costs


def means(
    runs: Sequence[dict[str, Any]], name: Callable[[dict[str, Any]], str]
) -> dict[str, dict[int, tuple[float, float]]]:
    """Runs as a table: name → forces drawn → (mean, standard deviation); runs with a diverged seed
    have no entry.

    - `name`: of the row that a run belongs to.
    """
    table: dict[str, dict[int, tuple[float, float]]] = {}
    for run in runs:
        if run["error_mean"] is not None:
            entry = run["error_mean"], run["error_std"]
            table.setdefault(name(run), {})[run["forces_drawn"]] = entry
    return table


def agreement(
    runs: Sequence[dict[str, Any]],
    published: Mapping[str, Mapping[int, tuple[float, float]]],
) -> list[dict[str, Any]]:
    """Every published entry beside what was found: `no_worse` where the mean that was found is not
    above the published one by more than twice the larger standard deviation (`allowed`), and it
    `agrees` where it is not below by more than that either.
    """
    found, cells = means(runs, lambda run: run["loss"]), []
    for loss, entries in published.items():
        for forces, (mean, spread) in entries.items():
            ours, own = found.get(loss, {}).get(forces, (np.inf, 0.0))
            allowed = 2 * max(spread, own)
            said = {"published": mean, "found": ours, "allowed": allowed}
            said |= {"no_worse": ours <= mean + allowed, "agrees": abs(ours - mean) <= allowed}
            cells.append({"loss": loss, "forces": forces, **said})
    return cells


def time_spent(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds of a record by part: "data", "closure", "labels", "training", "roll-out".

    Runs on one set of data share its seconds, and those on one closure share that one's; a run may
    stand in two places of a table: each counts once. Older records know labels, training and
    roll-outs in one sum only ("not taken apart").
    """
    each: dict[tuple[str, Any], float] = {}
    different = [run for number, run in enumerate(runs) if run not in runs[:number]]
    for number, run in enumerate(different):
        closure = run.get("sites"), run.get("closure"), run.get("closure_seed")
        shared = {"data": run.get("sites"), "closure": closure}
        for part, seconds in run.get("seconds_of", {"not taken apart": run["seconds"]}).items():
            each[part, shared.get(part, number)] = seconds
    spent: dict[str, float] = {}
    for (part, _), seconds in each.items():
        spent[part] = spent.get(part, 0.0) + seconds
    return spent


def or_infinite(error: float | None) -> float:
    """A recorded error as a number: that of a diverged network is `None`."""
    return np.inf if error is None else error


def _student(values: np.ndarray, level: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    if len(values) < 2:
        raise ValueError(f"An interval needs at least two seeds, but got {len(values)}.")
    half = stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)
