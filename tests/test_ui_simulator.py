"""The simulator panel: sliders by `.value`, buttons by `.click()`."""

import io

import numpy as np
import pytest
from panels import Compilations, lines, said
from PIL import Image

import macrokit as mk
from macrokit import ui
from macrokit.ui._picture import atoms_png, field_png

SYSTEM = mk.systems.PredatorPrey()


def test_a_moved_slider_simulates_and_recompiles_nothing() -> None:
    panel = ui.Simulator(SYSTEM)
    first, picture = panel.observables, panel._images["predator v"].value
    before = Compilations.count
    for name, value in {"growth": 2, "diffusion": 3, "amplitude": 0.1, "level": 0.45}.items():
        panel.sliders[name].value = value
    assert Compilations.count == before
    assert panel._images["predator v"].value != picture
    assert float(panel.system.growth) == 2
    expected = mk.simulate(
        mk.systems.PredatorPrey(growth=2, diffusion=3),
        SYSTEM.start(0.1, 0.45)[None],
        duration=30,
        step=0.01,
        every=10,
    )
    np.testing.assert_allclose(panel.trajectories.x, expected.x, atol=1e-5)
    truth = lines(panel.figure(), "truth")[0]
    np.testing.assert_array_equal(truth.y[:301], panel.observables[:, 0])
    panel.reset_button.click()
    np.testing.assert_array_equal(panel.observables, first)


def test_drawn_sites_are_marked_in_space_and_time() -> None:
    panel = ui.Simulator(SYSTEM)
    assert panel.caption.value == "t = 1.5"
    sites, vermilion = np.array([0, 49, 60]), (213, 94, 0)  # two of prey, one of predators
    panel.mark(sites)
    compiled = Compilations.count
    panel.moment.value = 150
    assert panel.caption.value == "t = 15: 3 nodes drawn"
    for name, nodes in {"prey u": (0, 49), "predator v": (10,)}.items():
        image = Image.open(io.BytesIO(panel._images[name].value)).convert("RGB")
        width, height = image.size
        column = int(150.5 / 301 * width)
        rows = {int((49.5 - node) / 50 * height) for node in nodes}
        marked = {y for y in range(height) if image.getpixel((column, y)) == vermilion}
        assert rows <= marked
        assert len(marked) <= 4 * len(rows)
        others = {image.getpixel((column, y)) for y in set(range(height)) - marked}
        assert others == {(255, 255, 255)}  # the line
    assert Compilations.count == compiled
    panel.mark(None)
    assert panel.caption.value == "t = 15"


def test_an_unstable_slider_says_so_and_keeps_the_picture() -> None:
    panel = ui.Simulator(SYSTEM)
    before = panel.observables
    panel.sliders["diffusion"].value = 80
    assert "unstable for rk4" in said(panel.status)
    assert "Shown is the last good run" in said(panel.status)
    assert panel.observables is before
    panel.sliders["diffusion"].value = 2
    assert said(panel.status) == "Simulated to T = 30 in 3,000 steps."
    assert panel.observables is not before


def test_a_system_without_a_scene_is_a_clear_error() -> None:
    line = mk.systems.HostSystem(lambda x, s: x[s], lambda x: x[0], num_sites=3)
    with pytest.raises(ValueError, match=r"knows .*PredatorPrey.* not HostSystem"):
        ui.Simulator(line)


def test_field_png_has_row_zero_at_the_bottom() -> None:
    field = np.zeros((4, 6))
    field[0] = 1  # the bottom row
    image = Image.open(io.BytesIO(field_png(field, size=(60, 40)))).convert("RGB")
    assert image.size == (60, 40)
    low, high = image.getpixel((30, 5)), image.getpixel((30, 35))
    assert high[0] > 240 > 60 > low[0]  # cividis runs from blue to yellow
    assert high[2] < 100 < low[2] + 30


# --- fields in the plane -------------------------------------------------------------------------


def test_sliding_through_stored_frames_computes_nothing() -> None:
    panel = ui.Simulator(mk.systems.AllenCahn(24))
    frames, before = panel.frames, Compilations.count
    assert frames.slider.max == len(panel.observables) - 1 > 50
    first = frames.image.value
    frames.slider.value = 40
    assert frames.image.value != first
    assert frames.title.value == f"<b>phase u</b> at t = {float(panel.times[40]):.4g}"
    panel.sliders["outer"].value = 0.3  # is gone sooner, and the slider stays at its share
    assert frames.slider.max == len(panel.observables) - 1
    assert 0 < frames.slider.value < 40
    assert Compilations.count == before
    truth = lines(panel.figure(), "truth")[0]
    np.testing.assert_array_equal(truth.y[: len(panel.observables)], panel.observables[:, 0])


def test_drawn_nodes_are_marked_on_the_frames() -> None:
    panel = ui.Simulator(mk.systems.AllenCahn(24))
    panel.mark(np.array([0, 23 * 24 + 5]))
    assert said(panel.frames.title).endswith(", 2 nodes drawn")
    image = Image.open(io.BytesIO(panel.frames.image.value)).convert("RGB")
    size = image.size[0] / 24
    vermilion = (213, 94, 0)
    for row, column in ((0, 0), (23, 5)):
        spot = int((column + 0.5) * size) - 1, int((23.5 - row) * size) - 1
        assert image.getpixel(spot) == vermilion
    assert image.getpixel((int(12.5 * size), int(12.5 * size))) != vermilion


# --- atoms ---------------------------------------------------------------------------------------


def pixels(png: bytes, paper: str = "white") -> np.ndarray:
    """As it looks on a page of this colour."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    page = Image.new("RGBA", image.size, paper)
    return np.asarray(Image.alpha_composite(page, image).convert("RGB")).astype(int)


def centre_of(image: np.ndarray) -> np.ndarray:
    """Mean (column, row) of what is not paper."""
    rows, columns = np.nonzero((image < 250).any(axis=2))
    return np.array([columns.mean(), rows.mean()])


def test_an_atom_is_where_it_is() -> None:
    middle = np.array([[5.0, 5.0, 5.0]])
    np.testing.assert_allclose(centre_of(pixels(atoms_png(middle, 10.0, size=200))), 100, atol=1)
    above, right = middle + np.array([0, 0, 3]), middle + np.array([3, 0, 0])
    assert centre_of(pixels(atoms_png(above, 10.0, size=200)))[1] < 80  # rows count downwards
    assert centre_of(pixels(atoms_png(right, 10.0, turn=0, size=200)))[0] > 120
    moved = pixels(
        atoms_png(middle + np.array([20, -10, 10]), 10.0, size=200)
    )  # other images of it
    np.testing.assert_array_equal(moved, pixels(atoms_png(middle, 10.0, size=200)))


def test_near_atoms_are_in_front_and_marked_ones_vermilion() -> None:
    front, behind = [5.0, 1.0, 5.0], [5.0, 9.0, 5.0]
    for marked, colour in (([0], 0), ([], 2)):  # the red or the blue of what is in front
        image = pixels(
            atoms_png(np.array([front, behind]), 10.0, turn=0, marked=np.array(marked, int))
        )
        columns, rows = np.round(
            centre_of(pixels(atoms_png(np.array([front]), 10.0, turn=0)))
        ).astype(int)
        assert image[rows, columns].argmax() == colour


def test_atoms_stand_on_the_page_and_far_ones_fade_into_it() -> None:
    near, far = np.array([[5.0, 1.0, 5.0]]), np.array([[5.0, 9.0, 5.0]])
    for paper, light in (("white", 255), ("black", 0)):
        assert (pixels(atoms_png(near, 10.0, turn=0), paper)[0, 0] == light).all()
        contrast = [
            abs(pixels(atoms_png(atom, 10.0, turn=0), paper) - light).max() for atom in (near, far)
        ]
        assert contrast[0] > 1.5 * contrast[1] > 0


def test_the_panel_of_atoms() -> None:
    panel = ui.Simulator(mk.systems.LennardJones(200, 6.3), duration=0.05)
    panel.mark(np.arange(7))
    title = panel.frames.title.value
    assert title.startswith("<b>atoms</b> at t = 0")
    assert title.endswith(", 7 atoms drawn")
    assert panel.observables[0, 0] == pytest.approx(1, rel=1e-4)
    before, seen = Compilations.count, [panel.frames.image.value]
    panel.frames.slider.value = 50
    panel.frames.turn.value = 60
    assert panel.frames.image.value not in seen
    panel.sliders["temperature"].value = 0.7
    assert panel.observables[0, 0] == pytest.approx(0.7, rel=1e-4)
    assert Compilations.count == before


@pytest.mark.slow
def test_a_laboratory_of_a_field_in_the_plane() -> None:
    """The learners' predictions end with the run, and the last learner's nodes are shown."""
    data = mk.experiments.allen_cahn(6, 2, grid=16, closure="principal-6")
    settings = {"scaling": "affine", "model": "mlp", "width": 8}
    contest = mk.experiments.Contest(
        data.system,
        data.closure,
        pool=data.training,
        held_out=data.validation,
        learners=(
            mk.experiments.Learner("all", "exact", 1.0, **settings),
            mk.experiments.Learner("some", "difference", 0.125, "stratified", **settings),
        ),
        budgets=(10 * 256, 20 * 256),
        steps=20,
        members=2,
        metric="rate",
        noise=0.02,
        restoring=100.0,
    )
    lab = ui.Lab(contest)
    assert lab.simulator.frames.title.value.endswith(", 32 nodes drawn")
    lab.start()
    assert [s.forces for s in lab.run.scores] == [2_560] * 2 + [5_120] * 2
    predicted = lines(lab.figure(), "some")[0]
    assert np.nanmax(predicted.x) <= lab.simulator.times[-1]
    assert "This start" in lab.verdict.value
