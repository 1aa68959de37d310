"""Figures from arrays: what is drawn, that it has titles and units, that it reads on any page."""

from types import SimpleNamespace

import numpy as np
import plotly.graph_objects as go
import pytest

from macrokit import plots

RNG = np.random.default_rng(0)
TIMES = np.linspace(0, 30, 31)
NAMES = ("mean prey", "mean predator")
TRUTH = RNG.uniform(size=(31, 2))


def score(learner: str, forces: int, errors: list[float]) -> SimpleNamespace:
    field = np.tile(np.array(errors)[:, None], (1, 4)) ** 2
    return SimpleNamespace(
        learner=learner, forces=forces, error=np.array(errors), field_error=field
    )


SCORES = [
    score("all forces", 300, [0.1, 0.2]),
    score("a fifth", 300, [0.03, 0.04]),
    score("all forces", 600, [0.05, 0.06]),
    score("a fifth", 600, [0.01, np.inf]),
]


def run(loss: str, forces: int, errors: list[float | None]) -> dict:
    lost = None in errors
    return {
        "loss": loss,
        "forces_training": forces,
        "errors": errors,
        "error_mean": None if lost else float(np.mean(errors)),
        "error_std": None if lost else float(np.std(errors)),
    }


RUNS = [run("L_z", 60_000, [5e-4, 6e-4]), run("L_{x,1/5}", 60_000, [3e-4, 4e-4])]


def tried(estimator: str, fraction: float, predicted: float, **more) -> dict:
    errors = [2e2 * predicted, 4e2 * predicted]
    settings = {"estimator": estimator, "design": "stratified", "closure": "shipped"}
    settings |= {"fraction": fraction, "predicted": predicted}
    return run("L", more.pop("forces", 60_000), errors) | settings | more


TRIED = [
    tried("exact", 1.0, 3e-6),
    tried("lifted", 0.2, 2e-6),
    tried("lifted", 0.2, 1e-7, forces=2_400_000),
    tried("lifted", 0.5, 4e-6, closure="linear"),
]

CURVES = {
    ("lifted", "stratified"): np.array([0.1, 0.0]),
    ("direct", "stratified"): np.array([3.0, 0.2]),
}
DRAWS = RNG.normal(size=2_000)
PAID = [
    {"forces_training": 4_000, "errors": [0.1, 0.3]},
    {"forces_training": 1_000, "errors": [0.2, 0.4]},
    {"forces_training": 1_000, "errors": [0.1, None]},
]

TABLE = {"L_z": {60_000: (2e-2, 1e-3), 300_000: (3e-3, 5e-4)}}
CELLS = [
    {"loss": "L_z", "forces": 60_000, "published": 2e-2, "found": 1e-2, "allowed": 2e-3},
    {"loss": "L_z", "forces": 300_000, "published": 3e-3, "found": 9e-3, "allowed": 1e-3},
    {"loss": "L_{x,1/5}", "forces": 60_000, "published": 4e-3, "found": 5e-3, "allowed": 3e-3},
]
CELLS = [cell | {"no_worse": cell["found"] < 9e-3 or cell["published"] > 1e-2} for cell in CELLS]
IN_TRAINING = [
    run(loss, forces, [0.1, 0.2])
    | {"curve": [{"step": n, "errors": [2 / n, None, 1 / n]} for n in (10, 20, 40)]}
    for loss in ("L_z", "L_{x,1/5}")
    for forces in (60_000, 300_000)
]
BESIDE = {
    "OnsagerNet": {"published": (4e-3, 2e-3), "here": (3e-4, 1e-4)},
    "MLP": {"published": None, "here": (2e-4, 1e-4)},
}
CONDITIONS = [
    {"closure": f"condition-{weight}", "error_mean": error, "lift_defect": 10 * error}
    for weight, error in (("0", 0.02), ("0", 0.03), ("1e-5", 0.01), ("1e-5", 0.02))
]

FIGURES = {
    "losses": lambda: plots.losses_figure(
        {"published": TABLE, "here": TABLE | {"difference, 1/5": TABLE["L_z"]}}
    ),
    "savings": lambda: plots.savings_figure({"atoms, fifty": (PAID[:2], PAID[2:])}),
    "agreement": lambda: plots.agreement_figure(CELLS),
    "beside": lambda: plots.beside_figure(BESIDE),
    "curves": lambda: plots.curves_figure(IN_TRAINING),
    "conditions": lambda: plots.conditions_figure(CONDITIONS),
    "seconds": lambda: plots.seconds_figure({"a": {"labels": 60.0, "training": 90.0}, "b": {}}),
    "field": lambda: plots.field_figure(TIMES, RNG.uniform(size=(31, 5)), np.ones((31, 5))),
    "observables": lambda: plots.observables_figure(TIMES, TRUTH, NAMES, {"all": TRUTH[None]}),
    "scores": lambda: plots.scores_figure(SCORES),
    "demo": lambda: plots.demo_figure(RUNS),
    "recorded": lambda: plots.recorded_figure({"runs": RUNS}, {"L_z": {60_000: (1e-2, 1e-3)}}),
    "predicted": lambda: plots.predicted_figure(TRIED),
    "sweep": lambda: plots.sweep_figure(TRIED[1:2] + TRIED[:1], 100),
    "noise": lambda: plots.noise_figure((1, 10), CURVES, recommended=3, defect=0.02),
    "redraws": lambda: plots.redraws_figure(
        {"a": DRAWS, "b": 2 * DRAWS}, 0.0, {"a": 1.0, "b": 2.0}
    ),
    "sites": lambda: plots.sites_figure(np.ones(5), np.zeros(5), np.array([0, 7])),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_reads_on_light_and_dark_pages_and_offline(name: str) -> None:
    figure = FIGURES[name]()
    assert type(figure) is go.Figure  # shows without a kernel
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert contrast(figure.layout.font.color, "#ffffff") > 3.5
    assert contrast(figure.layout.font.color, "#111111") > 3.5
    assert figure.layout.height <= 560
    assert "<div" in figure.to_html(include_plotlyjs=False)


@pytest.mark.parametrize("name", sorted(FIGURES.keys() - {"demo"}))
def test_every_axis_has_a_title_with_its_unit(name: str) -> None:
    figure = FIGURES[name]()
    shared = {axis.anchor for axis in figure.select_yaxes() if axis.matches}
    titles = [axis.title.text for axis in figure.select_xaxes()]
    assert any("(" in (title or "") for title in titles)
    for axis, title in zip(figure.select_xaxes(), titles, strict=True):
        assert axis.matches or "(" in title, axis
    for axis in figure.select_yaxes():
        named = name in ("seconds", "beside")  # by the names of their rows, which have no unit
        assert named or axis.anchor in shared or "(" in axis.title.text, axis


@pytest.mark.parametrize("name", FIGURES)
def test_axes_that_match_have_no_range_of_their_own(name: str) -> None:
    """Where both axes of a panel match others, plotly draws no lines then."""
    figure = FIGURES[name]()
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        assert not axis.matches or axis.range is None, axis


def test_demo_names_losses_and_states_means() -> None:
    figure = FIGURES["demo"]()
    labels = {label for trace in figure.data for label in trace.y}
    assert labels == {
        "all forces, L<sub>z</sub>",
        "a fifth of the forces, L<sub>x,1/5</sub>",
    }
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert [list(trace.x) for trace in dots] == [run["errors"] for run in RUNS]
    bars = [trace.text[0] for trace in figure.data if trace.mode == "markers+text"]
    assert bars == ["<b>0.00055</b>", "<b>0.00035</b>"]
    assert "(relative)" in figure.layout.xaxis.title.text
    assert figure.layout.xaxis.type == "log"


def test_demo_marks_what_was_published() -> None:
    published = {"L_z": {100_000: (2e-3, 1e-3)}, "L_{x,1/5}": {60_000: (1e-3, 2e-4)}}
    figure = plots.demo_figure(RUNS, published)
    marks = [trace for trace in figure.data if trace.marker.symbol == "diamond-open"]
    assert [(m.x[0], m.error_x.array[0]) for m in marks] == [(2e-3, 1e-3), (1e-3, 2e-4)]
    assert [m.text[0] for m in marks] == ["published, 100k forces", "published"]
    low, high = 10.0 ** np.array(figure.layout.xaxis.range)
    assert low < 3e-4 < 3e-3 < high


def test_demo_counts_diverged_seeds() -> None:
    figure = plots.demo_figure([RUNS[0], run("L_{x,1/5}", 60_000, [3e-4, None])])
    assert "1 diverged" in figure.data[-1].y[0]
    assert list(figure.data[-1].x) == [3e-4]


def test_scores_show_members_and_their_mean() -> None:
    figure = plots.scores_figure(SCORES)
    dots, line = [t for t in figure.data if t.name == "all forces" and t.xaxis == "x"]
    assert list(dots.x) == [300, 300, 600, 600]
    assert list(dots.y) == [0.1, 0.2, 0.05, 0.06]
    np.testing.assert_allclose(line.y, [0.15, 0.055])
    dots, line = [t for t in figure.data if t.name == "a fifth" and t.xaxis == "x"]
    assert list(dots.y) == [0.03, 0.04, 0.01]  # a diverged member has no place on the axis
    assert line.y[1] is None  # nor has a mean without it
    assert {t.xaxis for t in figure.data} == {"x", "x2"}  # two quantities, two axes
    assert [figure.layout.xaxis.type, figure.layout.yaxis.type] == ["log", "log"]


def test_observables_join_members_with_gaps() -> None:
    members = np.stack([TRUTH, TRUTH + 1])
    truth, names, predicted = plots.observable_traces(TIMES, TRUTH, NAMES, {"all": members})
    assert list(names.text) == list(NAMES)
    assert np.isnan(truth.y).sum() == 1  # between two observables
    assert np.isnan(predicted.y).sum() == 3  # between four lines
    np.testing.assert_array_equal(np.isnan(predicted.x), np.isnan(predicted.y))
    np.testing.assert_allclose(predicted.y[:31], TRUTH[:, 0])
    np.testing.assert_allclose(predicted.y[-31:], TRUTH[:, 1] + 1)


def test_sites_mark_prey_and_predator() -> None:
    figure = plots.sites_figure(np.arange(5.0), np.arange(5.0) + 10, np.array([0, 3, 7]))
    marked = {t.name: (list(t.x), list(t.y)) for t in figure.data if t.mode == "markers"}
    assert marked == {
        "force bought: prey u": ([0, 3], [0.0, 3.0]),
        "force bought: predator v": ([2], [12.0]),
    }
    assert figure.layout.title.text == "3 of 10 forces bought in this snapshot"


def test_recorded_draws_published_values_dotted() -> None:
    figure = FIGURES["recorded"]()
    here, published = figure.data[0], figure.data[1]
    assert (here.line.dash, published.line.dash) == ("solid", "dot")
    assert list(published.y) == [1e-2]
    assert list(published.error_y.array) == [1e-3]


def test_predicted_puts_errors_over_expectations() -> None:
    figure = FIGURES["predicted"]()
    dots = {t.marker.symbol: t for t in figure.data if t.x[0] is not None}
    assert {t.name for t in figure.data} == {
        "exact", "lifted", "shipped closure", "linear closure", "2,400,000 forces"
    }  # fmt: skip
    assert dots.keys() == {"circle", "circle-open", "diamond"}  # many forces are hollow
    many = dots["circle-open"]
    assert (many.x[0], many.y[0]) == (1e-7, pytest.approx(3e-5))
    assert many.error_y.array[0] == many.error_y.arrayminus[0] == pytest.approx(1e-5)


def test_sweep_rings_the_number_that_was_expected_to_be_best() -> None:
    line, ring = FIGURES["sweep"]().data
    assert list(line.x) == [20, 100]  # in order
    assert line.y[0] == pytest.approx(6e-4)
    assert (list(ring.x), ring.marker.symbol) == ([20], "circle-open")
    assert ring.y[0] == line.y[0]


def contrast(a: str, b: str) -> float:
    """WCAG contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_noise_figure_marks_what_matters() -> None:
    figure = plots.noise_figure((1, 10), CURVES, recommended=3, defect=0.02)
    lifted, direct = figure.data
    assert (lifted.name, list(lifted.y)) == ("lifted, stratified", [0.1, 1e-6])  # none is drawn low
    assert lifted.line.color == direct.line.color
    assert lifted.line.dash != direct.line.dash
    texts = {annotation.text: annotation for annotation in figure.layout.annotations}
    assert texts[" 3 recommended"].x == pytest.approx(np.log10(3))
    assert texts["δ, what z cannot tell"].y == pytest.approx(np.log10(0.02))


def test_histogram_is_a_density_beside_the_predicted_one() -> None:
    bars, bell = plots.histogram_traces(DRAWS, 0.0, 1.0)
    assert np.sum(np.array(bars.y) * bars.width) == pytest.approx(1, abs=0.01)
    assert np.trapezoid(bell.y, bell.x) == pytest.approx(1, abs=1e-3)
    assert max(bell.y) == pytest.approx(1 / np.sqrt(2 * np.pi), rel=1e-3)
    none, _ = plots.histogram_traces(np.zeros(5), 0.0, 0.0)  # no noise at all is drawn too
    assert np.isfinite(none.y).all()


def test_running_z_is_the_mean_over_its_error() -> None:
    counts, z = plots.running_z(DRAWS, 0.1)
    assert (counts[0], counts[-1]) == (10, 2_000)
    expected = (DRAWS.mean() - 0.1) / (DRAWS.std() / np.sqrt(2_000))
    assert z[-1] == pytest.approx(expected)


def test_atoms_are_in_the_box_and_the_drawn_ones_apart() -> None:
    r = RNG.uniform(-10, 20, size=(30, 3))
    drawn = np.array([4, 17])
    figure = plots.atoms_figure(r, 10.0, drawn)
    others, bought, edges = figure.data
    assert (len(edges.x), np.nanmin(edges.x), np.nanmax(edges.y)) == (36, 0, 10)
    assert bought.name == "2 atoms whose force is bought"
    assert (len(others.x), others.marker.color != bought.marker.color) == (28, True)
    np.testing.assert_allclose(
        np.stack([bought.x, bought.y, bought.z], 1), r[drawn] % 10, atol=0.01
    )
    assert figure.layout.scene.aspectmode == "cube"


def test_scaling() -> None:
    costs = [
        {"estimator": "exact", "sites": 100, "forces": [1e3, 4e3], "reached": True},
        {"estimator": "exact", "sites": 400, "forces": [8e3, 8e3], "reached": False},
        {"estimator": "difference", "sites": 100, "forces": [5e2, 5e2], "reached": True},
    ]
    costs = [c | {"forces": np.array(c["forces"]), "seconds": np.ones(2)} for c in costs]
    full, full_seconds, part, _ = plots.scaling_figure(costs, 2e-2).data
    np.testing.assert_allclose(full.y, [2_000, 8_000])
    np.testing.assert_allclose(full.error_y.array, [2_000, 0])
    np.testing.assert_allclose(full.error_y.arrayminus, [1_000, 0])
    assert (full.name, full.marker.symbol) == ("all sites", ("circle", "circle-open"))
    np.testing.assert_allclose(full_seconds.y, [1, 1])
    assert (part.name, list(part.y)) == ("some sites, difference", pytest.approx([500]))


# --- runs over each other -------------------------------------------------------------------------


def test_overlay() -> None:
    times = np.linspace(0, 1, 5)
    truth = np.stack([times, 1 - times], axis=1)
    members = truth + np.array([-0.1, 0.3])[:, None, None]
    members[1, 3:] = np.nan  # one of them was lost on the way
    errors = [np.array([0.1, 0.3]), np.array([0.01, np.inf])]
    line = plots.Line("mine", "#D55E00", [100, 400], [1.0, 2.5], errors, times, members)
    by_forces, by_time, paths = plots.overlay_traces([line], times, truth)
    for (dots, mean), x in zip((by_forces, by_time), ([100, 400], [1.0, 2.5]), strict=True):
        np.testing.assert_array_equal(dots.x, [x[0], x[0], x[1]])
        np.testing.assert_array_equal(dots.y, [0.1, 0.3, 0.01])
        np.testing.assert_array_equal(mean.x, x)
        assert tuple(mean.y) == (0.2, None)  # a mean with a diverged member is none
    grey, band, middle = paths
    assert grey.name == "truth"
    lowest, highest = band.y[:5], band.y[5:10][::-1]
    np.testing.assert_allclose(lowest, times - 0.1)
    np.testing.assert_allclose(highest, times + np.array([0.3, 0.3, 0.3, -0.1, -0.1]))
    np.testing.assert_allclose(middle.y[:3], times[:3] + 0.1)
    figure = plots.overlay_figure([line], times, truth, unit="density (1)")
    assert list(figure.layout.xaxis.tickvals) == [100, 400]
    assert figure.layout.yaxis3.title.text == "density (1)"
    assert len(plots.overlay_figure(()).data) == 0


def test_overlay_without_any_member() -> None:
    nothing = np.full((2, 3, 1), np.nan)
    line = plots.Line("lost", "#D55E00", times=np.arange(3.0), predicted=nothing)
    assert plots.overlay_traces([line])[2] == []


def test_losses_stand_side_by_side_in_the_same_colours() -> None:
    figure = FIGURES["losses"]()
    lines = {(line.name, line.xaxis): line for line in figure.data}
    assert len(lines) == 3
    first, second = (
        lines["all forces, L<sub>z</sub>", "x"],
        lines["all forces, L<sub>z</sub>", "x2"],
    )
    assert first.line.color == second.line.color
    assert (first.showlegend, second.showlegend) == (True, False)
    assert lines["difference, 1/5", "x2"].showlegend
    assert first.y == (2e-2, 3e-3)
    assert figure.layout.yaxis2.matches == "y"


def test_what_is_worse_is_crossed() -> None:
    full, part = FIGURES["agreement"]().data
    assert full.y == pytest.approx((0.5, 3.0))
    assert full.marker.symbol == ("circle", "x")
    assert full.error_y.array == pytest.approx((0.1, 1 / 3))
    assert part.y == pytest.approx((1.25,))
    assert full.x[0] != part.x[0]  # beside each other
    assert full.x[0] == pytest.approx(60_000, rel=0.1)


def test_curves_are_medians_in_bands_of_all_seeds() -> None:
    figure = FIGURES["curves"]()
    low, high, middle = figure.data[:3]
    assert low.y == pytest.approx((0.1, 0.05, 0.025))
    assert high.y == pytest.approx((0.2, 0.1, 0.05))
    assert middle.y == pytest.approx((0.15, 0.075, 0.0375))
    assert [note.text for note in figure.layout.annotations] == ["60,000 forces", "300,000 forces"]


def test_conditions_go_through_the_means() -> None:
    dots, line, *_ = FIGURES["conditions"]().data
    assert dots.y == (0.02, 0.03, 0.01, 0.02)
    assert line.x == ("0", "1e-5")
    assert line.y == pytest.approx((0.025, 0.015))


def test_what_was_found_stands_in_its_row() -> None:
    published, here = FIGURES["beside"]().data
    assert (list(published.x), list(here.x)) == ([4e-3], [3e-4, 2e-4])
    assert np.round(published.y).tolist() == [0]
    assert np.round(here.y).tolist() == [0, 1]
    assert list(here.error_x.array) == [1e-4, 1e-4]


def test_parts_of_the_time_stand_behind_each_other() -> None:
    labels, training = FIGURES["seconds"]().data
    assert (labels.x, training.x) == ((1.0, 0.0), (1.5, 0.0))


def test_lines_against_forces_go_from_few_to_many() -> None:
    table = {"L_z": {300_000: (1e-3, 0.0), 6_000: (1e-2, 0.0), 60_000: (2e-3, 0.0)}}
    (line,) = plots.losses_figure({"here": table}).data
    assert list(line.x) == [6_000, 60_000, 300_000]
    assert list(line.y) == [1e-2, 2e-3, 1e-3]


def test_a_mean_only_where_none_diverged() -> None:
    lines = plots.savings_figure({"atoms, fifty": (PAID[:2], PAID[2:])}).data
    _, every, networks, some = lines
    assert list(every.x) == [1_000, 4_000]  # in order
    assert list(every.y) == pytest.approx([0.3, 0.2])
    assert (list(some.x), list(some.y)) == ([1_000], [None])
    assert (list(networks.x), list(networks.y)) == ([1_000], [0.1])


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("L_z", "all forces, L<sub>z</sub>"),
        ("L_x", "all forces, lifted, L<sub>x</sub>"),
        ("L_{x,3/4}", "L<sub>x,3/4</sub>"),
        ("difference, 1/5", "difference, 1/5"),
    ],
)
def test_names_of_losses(loss: str, name: str) -> None:
    (line,) = plots.losses_figure({"here": {loss: {6_000: (1e-2, 0.0)}}}).data
    assert line.name == name
