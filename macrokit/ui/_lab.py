"""Both panels around one figure."""

import os

import equinox as eqx
import ipywidgets as widgets
import jax
import jax.numpy as jnp
import numpy as np
import plotly.graph_objects as go

from .. import experiments, plots, relative_error, sample
from .._sampling import make_design
from . import _sentences
from ._comparison import Comparison
from ._display import RIGHT, Panel, column, row, status_html
from ._figure import LiveFigure
from ._scenes import scene
from ._simulator import Simulator

_TRUTH = f'<span style="color:{plots.GREY}">▬</span> truth'


class Lab(Panel):
    """The simulator and the comparison around one figure.

    The observables of the simulation shown are overlaid by what the learners, as trained so far,
    predict from the same start; moving a slider of the simulator predicts anew.

    - `contest`: who competes for what. - `folder`: where files are saved.
    """

    def __init__(self, contest: experiments.Contest, *, folder: str | os.PathLike = "."):
        names = [learner.name for learner in contest.learners]
        how = scene(contest.system)
        self.live = LiveFigure(
            contest.system.observable_names,
            names,
            contest.budgets,
            unit=how.unit,
            limits=how.limits,
        )
        self.verdict = widgets.HTML()
        self.simulator = Simulator(contest.system, figure=self.live)
        self.comparison = Comparison(contest, folder=folder, figure=self.live)
        self.run = self.comparison.run
        self.simulator.predict = self._predict
        self.simulator.mark(_drawn_sites(contest))
        self.run.watch(self.simulator.draw)
        self._predict()
        left = column(
            widgets.HTML("<b>Simulate</b>"),
            self.simulator.knobs,
            widgets.HTML("<b>Learn from forces</b>"),
            self.comparison.knobs,
        )
        lines = (self.verdict, self.comparison.headline)
        right = column(self.simulator.pictures, *lines, self.live.widget, **RIGHT)
        self.widget = row(left, right, align_items="flex-start")

    def start(self) -> None:
        """As the button; headless it runs to the end."""
        self.run.start()

    def stop(self) -> None:
        """As the button."""
        self.run.stop()

    def reset(self) -> None:
        """As the button."""
        self.comparison.reset()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the run has ended and re-raise its exception; at once if none was started."""
        return self.run.wait(timeout)

    def figure(self) -> go.Figure:
        """A plain figure of what is shown now, for a cell of its own."""
        return self.live.static()

    def _predict(self) -> dict[str, np.ndarray]:
        """Learner → observables (members, times, k) from the simulator's start."""
        comparison, contest = self.run.comparison, self.run.contest
        if self.run.progress is None:
            self.verdict.value = status_html(f"This start: {_TRUTH} (nothing is learned yet)")
            return {}
        runs, truth = self.simulator.trajectories, self.simulator.observables
        start = _encode(contest.closure, runs.x[0, 0])[None]
        sentences, lines = [], {}
        for number, learner in enumerate(contest.learners):
            z, left_at = experiments.predict(comparison.models(number), start, runs.times)
            z, left_at = z[:, 0, : len(truth), : truth.shape[1]], left_at[:, 0]
            times = self.simulator.times
            if (left_at <= times[-1]).any():
                outcome = f"left the known region at t = {left_at.min():.3g}"
            else:
                errors = [relative_error(jnp.asarray(path), jnp.asarray(truth)) for path in z]
                outcome = f"<b>{np.mean(errors):.2g}</b>"
            sentences.append(f"{_sentences.bullet(number, learner.name)} {outcome}")
            gone = times >= left_at[:, None]
            lines[learner.name] = np.where(gone[..., None], np.nan, z)
        altered = " (learned with other parameters!)" if self.simulator.altered else ""
        self.verdict.value = status_html(f"This start: {_TRUTH} {' '.join(sentences)}{altered}")
        return lines


def _drawn_sites(contest: experiments.Contest) -> np.ndarray:
    """The sites that the last learner draws in a state of the pool."""
    learner, system = contest.learners[-1], contest.system
    x = contest.pool.take(np.zeros(1, int), np.zeros(1, int))
    design = make_design(learner.design, contest.closure)
    key = jax.random.key(contest.seed)
    return np.asarray(sample(system, x, fraction=learner.fraction, design=design, key=key).sites[0])


@eqx.filter_jit
def _encode(closure, x):
    return closure.encode(x)
