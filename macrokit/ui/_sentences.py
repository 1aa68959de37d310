"""What the comparison panel says about a run, in words."""

import html

import numpy as np

from .. import experiments, plots
from ._display import duration
from ._run import Run


def progress(run: Run) -> str:
    """Where the run is, and how long it will take."""
    rounds = len(run.contest.budgets)
    if run.comparison is None:
        return f"{rounds} rounds, up to {run.contest.budgets[-1]:,} forces each"
    number = min(run.comparison.round + 1, rounds)
    seconds = np.inf if run.progress is None else run.progress.seconds_left
    return f"round {number} of {rounds} · {100 * run.done:.0f} %{left(seconds)}"


def left(seconds: float) -> str:
    """How long it will take, where that is known."""
    return f" · {duration(seconds)} left" if 0 < seconds < np.inf else ""


def status(run: Run) -> str:
    """What the run is doing."""
    if run.state == "failed":
        return f"Failed: {type(run.error).__name__}: {run.error}"
    if run.state == "running" and run.phase:
        return f"Running: {run.phase} …"
    if run.comparison is None:
        return {
            "ready": "Ready. Press Start.",
            "stopping": "Stopping after the present steps …",
        }.get(run.state, "Stopped before any force was bought.")
    forces = f"{max(run.comparison.forces):,}"
    return {
        "running": f"Running: each learner trains on {forces} forces.",
        "stopping": "Stopping after the present steps …",
        "stopped": f"Stopped with {forces} forces bought. The models are usable as they are.",
        "finished": f"Finished: each learner bought {forces} forces.",
    }[run.state]


def headline(run: Run) -> str:
    """The errors at the end of the latest round, and how many forces the last learner needed for
    the first one's error; as HTML."""
    learners, tail = run.contest.learners, ""
    if not run.scores:
        names = " ".join(bullet(n, learner.name) for n, learner in enumerate(learners))
        return f"Unseen starts: {names} (points come at the end of each round)"
    latest = run.scores[-len(learners) :]
    parts = [f"{bullet(n, score.learner)} <b>{error(score)}</b>" for n, score in enumerate(latest)]
    if len(learners) > 1:
        forces = forces_for(run.scores, learners[-1].name, float(latest[0].error.mean()))
        tail = f" ({error(latest[0])} with <b>{forces}</b>)" if forces else ""
    return f"Unseen starts, {latest[0].forces:,} forces each: {' '.join(parts)}{tail}"


def bullet(number: int, name: str) -> str:
    """The name of learner `number`, with its colour in the figure; as HTML."""
    colour = plots.COLOURS[number % len(plots.COLOURS)]
    return f'<span style="color:{colour}">●</span> {html.escape(name)}'


def error(score: experiments.Score) -> str:
    """The mean over members, or how many of them diverged."""
    lost = int((~np.isfinite(score.error)).sum())
    return f"{lost} of {len(score.error)} diverged" if lost else f"{score.error.mean():.2g}"


def forces_for(scores: tuple[experiments.Score, ...], learner: str, error: float) -> str:
    """With how many forces `learner` reached `error`: read off the line between its rounds. Empty
    where it did not, or where there is one round only."""
    mine = [(s.forces, float(s.error.mean())) for s in scores if s.learner == learner]
    for number, (forces, reached) in enumerate(mine):
        if not reached <= error:
            continue
        if len(mine) == 1:
            return ""
        if number == 0:
            return f"{forces:,} or fewer"
        before, worse = mine[number - 1]
        share = 0.0
        if np.isfinite(worse):
            share = np.log(worse / error) / np.log(worse / reached)
        exact = before * (forces / before) ** share if share else forces
        return f"about {float(f'{exact:.2g}'):,.0f}"
    return ""
