"""The estimator laboratory: estimator, design, number of sites; sites redrawn live."""

import ipywidgets as widgets
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .. import designs, plots
from .._closure import Closure
from .._gauge import variable_names
from .._redraws import Redraws
from .._sampling import number_drawn
from .._types import AnyArray
from ..systems import AbstractSystem
from ._display import LEFT, RIGHT, Panel, Plot, button, column, control, row, status_text
from ._redrawing import ENOUGH, Redrawing
from ._worker import Worker

_HEIGHT = 470
_ESTIMATORS = ("direct", "lifted, difference")


class EstimatorLaboratory(Panel):
    """Draw the sites of one state again and again, and watch the estimate of dz/dt.

    The histogram is of the estimates, the line beside it what the design predicts; the running test
    stays between the dotted lines as long as the mean is the truth.

    - `states`: (states, sites, channels), one of which the slider chooses.
    - `fractions`: shares of the sites to choose from.
    """

    def __init__(
        self,
        system: AbstractSystem,
        closure: Closure,
        states: AnyArray,
        *,
        fractions: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    ):
        self.redrawing = Redrawing(system, closure, states)
        total = system.num_sites
        self._numbers = sorted({number_drawn(share, total) for share in fractions})
        self._names = variable_names(system, closure, self.redrawing.states[0])
        self._settings()
        self._buttons()
        self.status = widgets.HTML()
        self.live = Plot(self._empty())
        self.worker = Worker(self._show, self._done)
        self._changed()
        knobs = column(
            widgets.HTML("<b>Draw sites, estimate dz/dt</b>"),
            *self.settings.values(),
            row(*self.buttons.values()),
            self.status,
            width=LEFT,
        )
        self.widget = row(knobs, column(self.live, **RIGHT), align_items="flex-start")

    # --- what the buttons do ------------------------------------------------------------------

    def start(self) -> None:
        """Draw until there is enough. Headless: at once."""
        if self.redrawing.count >= ENOUGH:
            self.redrawing.change()
        self.buttons["Start"].disabled, self.buttons["Stop"].disabled = True, False
        self.worker.start(self.redrawing.items)

    def stop(self) -> None:
        """Stop after the present batch."""
        self.worker.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the drawing has ended, and re-raise what went wrong."""
        return self.worker.wait(timeout)

    def figure(self) -> go.Figure:
        """A plain figure of what is shown now, for a cell of its own."""
        return go.Figure(self.live)

    # --- pieces -------------------------------------------------------------------------------

    def _settings(self) -> None:
        number = self._numbers[len(self._numbers) // 2]
        self.settings = {
            "estimator": control(
                widgets.Dropdown,
                "estimator",
                "direct: the weighted sum; lifted: what a model explains is taken out first",
                options=_ESTIMATORS,
            ),
            "knows": control(
                widgets.FloatSlider,
                "model knows",
                "how much of dz/dt the model predicts: 0 makes lifting the direct estimator",
                value=1.0,
                min=0.0,
                max=1.0,
                step=0.1,
                readout_format=".0%",
                continuous_update=False,
            ),
            "design": control(
                widgets.Dropdown, "design", "how sites are drawn", options=tuple(designs.TABLE)
            ),
            "number": control(
                widgets.SelectionSlider,
                "sites",
                "sites drawn, each of which costs a force",
                options=self._numbers,
                value=number,
                continuous_update=False,
            ),
            "variable": control(
                widgets.Dropdown, "variable", "whose rate is estimated", options=self._names
            ),
            "state": control(
                widgets.IntSlider,
                "state",
                "which of the given states",
                value=0,
                min=0,
                max=len(self.redrawing.states) - 1,
                continuous_update=False,
            ),
        }
        for name, widget in self.settings.items():
            react = self._show if name == "variable" else self._changed
            widget.observe(lambda _, react=react: react(), names="value")

    def _buttons(self) -> None:
        self.buttons = {
            "Start": button("Start", "draw again and again", self.start),
            "Stop": button("Stop", "stop drawing", self.stop),
        }
        self.buttons["Stop"].disabled = True

    def _changed(self) -> None:
        """New settings: forget, and draw a first batch so that there is something to see."""
        lifted = self.settings["estimator"].value != _ESTIMATORS[0]
        self.settings["knows"].disabled = not lifted
        self.redrawing.change(
            design=self.settings["design"].value,
            number=self.settings["number"].value,
            control=self.settings["knows"].value if lifted else 0.0,
            state=self.settings["state"].value,
        )
        if not self.worker.running:
            self.redrawing.more()
            self._show()

    def _done(self, error: BaseException | None) -> None:
        self.buttons["Start"].disabled, self.buttons["Stop"].disabled = False, True
        self._show()
        if error is not None:
            self.status.value = status_text(f"It went wrong: {error}", "bad")

    def _show(self) -> None:
        drawn = self.redrawing.redraws
        if drawn is None:
            return
        k = self._names.index(self.settings["variable"].value)
        truth, deviation = float(drawn.truth[k]), float(drawn.deviation[k])
        estimates = drawn.estimates[:, k]
        counts, z = plots.running_z(estimates, truth)
        bars, bell = plots.histogram_traces(estimates, truth, deviation)
        x = self.redrawing.states[self.redrawing.state][:, 0]
        every, chosen, histogram, predicted, true, walk = self.live.data
        with self.live.turn, self.live.batch_update():
            every.y = x
            chosen.x, chosen.y = drawn.sites, x[drawn.sites]
            histogram.update(x=bars.x, y=bars.y, width=bars.width)
            predicted.update(x=bell.x, y=bell.y)
            true.update(x=[truth, truth], y=[0, float(bell.y.max())])
            walk.update(x=counts, y=z)
            self.live.update_xaxes(
                title_text=f"estimate of d({self._names[k]})/dt (1/time)", row=2, col=1
            )
        self.status.value = status_text(self._sentence(drawn, k))

    def _sentence(self, drawn: Redraws, k: int) -> str:
        total, z = self.redrawing.system.num_sites, drawn.z[k]
        said = f"{len(drawn.estimates):,} redraws of {len(drawn.sites)} of {total} sites. "
        if drawn.deviation[k] < 1e-5 * max(abs(drawn.truth[k]), 1e-30):
            return said + "No noise at all: every draw gives the truth."
        said += f"Mean {z:+.1f} standard errors from the truth"
        said += "; unbiased. " if abs(z) < 4 else "; biased! "
        spread = drawn.estimates[:, k].std()
        return said + f"Spread {spread:.2g}, {spread / drawn.deviation[k]:.2f} of the predicted."

    def _empty(self) -> go.Figure:
        figure = make_subplots(
            rows=2,
            cols=2,
            specs=[[{"colspan": 2}, None], [{}, {}]],
            row_heights=[0.4, 0.6],
            column_widths=[0.6, 0.4],
            vertical_spacing=0.2,
            horizontal_spacing=0.13,
            subplot_titles=("the state, and the sites of the last draw", "estimates", "their mean"),
        )
        grey, blue, red = plots.GREY, plots.COLOURS[1], plots.COLOURS[0]
        line = {"color": grey, "width": 2}
        figure.add_scatter(y=[0.0], mode="lines", line=line, name="state", row=1, col=1)
        dots = {"color": blue, "size": 9}
        figure.add_scatter(x=[0], y=[0], mode="markers", marker=dots, name="drawn", row=1, col=1)
        figure.add_bar(x=[0], y=[0], marker={"color": blue}, name="redraws", row=2, col=1)
        line = {"color": red, "width": 3}
        figure.add_scatter(x=[0], y=[0], line=line, name="predicted", row=2, col=1)
        line = {"color": grey, "dash": "dash"}
        figure.add_scatter(x=[0], y=[0], mode="lines", line=line, name="truth", row=2, col=1)
        figure.add_scatter(x=[0], y=[0], line={"color": blue}, name="test", row=2, col=2)
        for bound in (-4, 4):
            figure.add_hline(bound, line={"color": grey, "dash": "dot"}, row=2, col=2)
        plots.style(figure, height=_HEIGHT)
        figure.update_layout(
            autosize=True,
            showlegend=False,
            bargap=0,
            margin={"t": 30, "b": 50, "l": 60, "r": 10},
            font_size=12,
        ).update_annotations(font_size=13)
        last = len(self.redrawing.states[0]) - 1
        figure.update_xaxes(title_text="site (index)", range=[-1, last + 1], row=1, col=1)
        figure.update_xaxes(title_text="redraws (number)", type="log", dtick=1, row=2, col=2)
        figure.update_yaxes(title_text="state (1)", row=1, col=1)
        figure.update_yaxes(title_text="density (1)", showticklabels=False, row=2, col=1)
        return figure.update_yaxes(title_text="bias / std. error (1)", range=[-5, 5], row=2, col=2)
