"""The panels as a person meets them: JupyterLab in a real browser, the notebooks' own cells."""

import time
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from browser import Person

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        browser.CHROMIUM is None, reason=f"none of {', '.join(browser.BROWSERS)} is on the PATH"
    ),
]
PREDATOR_PREY, LENNARD_JONES, ALLEN_CAHN, LABORATORY, DASHBOARD = browser.PANELS


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A notebook up to its panel, with less data where they take long."""
    notebook = getattr(request, "param", PREDATOR_PREY)
    browser.cut(notebook, tmp_path, fast=notebook in (LENNARD_JONES, ALLEN_CAHN))
    return tmp_path


@pytest.fixture
def person(folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Person]:
    """A person before the running server; leaves a picture, has nothing to complain about, and says
    what took how long."""
    pytest.importorskip("playwright.sync_api")
    with browser.jupyterlab(folder) as address, browser.page() as page:
        person = Person(page, address)
        try:
            yield person
        finally:
            page.screenshot(path=folder / "panel.png")
    with capsys.disabled():
        said = (f"{name} {seconds:.2f} s" for name, seconds in person.measured.items())
        print("", *said, sep="  ")
    assert person.complaints() == []


def test_start_move_stop_resume(person: Person) -> None:
    page, measured = person.page, person.measured
    measured["first live plot"] = person.open(90)

    person.press("Start")
    measured["start to training"] = person.until_it_says("Running: each learner", 120)
    person.until_it_says("This start: ▬ truth ●")
    measured["slider to picture"] = min(person.nudge("growth r") for _ in range(3))

    person.press("Stop")
    measured["stop"] = person.until_it_says("Stopped")
    assert measured["stop"] < 2
    stopped = person.percent()

    person.press("Resume")
    person.until_it_says("Running: each learner")
    page.wait_for_function(
        """before => [...document.querySelectorAll('.widget-label')].some(line =>
               parseInt((/· (\\d+) %/.exec(line.textContent) || [0, 0])[1]) > before)""",
        arg=stopped,
        timeout=60_000,
    )
    person.press("Stop")
    person.until_it_says("Stopped")
    assert person.percent() > stopped


def test_stop_at_once_interrupt_close_and_open_again(person: Person) -> None:
    page, measured = person.page, person.measured
    person.open(90)
    person.press("Start")
    person.press("Stop")  # while it buys or compiles
    measured["stopping"] = person.until_it_says("Stopping")
    person.until_it_says("Stopped")

    person.press("Resume")
    person.until_it_says("Running: each learner", 120)
    person.command("notebook:interrupt-kernel")  # ends the busy cell, and nothing else
    page.get_by_text("KeyboardInterrupt").first.wait_for(timeout=10_000)
    person.until_it_says("Running: each learner")
    person.command("docmanager:save")
    page.reload()
    begun = time.monotonic()
    # Attached: some versions of JupyterLab hide what is below the page.
    page.wait_for_selector("button:text-is('Stop'):enabled", timeout=60_000, state="attached")
    measured["open again"] = time.monotonic() - begun
    person.scroll_to_panel()
    page.wait_for_selector(".js-plotly-plot .scatterlayer path", timeout=30_000)
    person.press("Stop")
    person.until_it_says("Stopped with")


@pytest.mark.parametrize(
    ("folder", "views", "knob", "drawn"),
    [
        (ALLEN_CAHN, ("frame",), "outer", ", 92 nodes drawn"),
        (LENNARD_JONES, ("frame", "turn"), "T at the start", ", 50 atoms drawn"),
    ],
    indirect=["folder"],
)
def test_slide_through_frames_while_it_learns(
    person: Person, views: tuple[str, ...], knob: str, drawn: str
) -> None:
    measured = person.measured
    measured["first live plot"] = person.open(150)
    for view in views:
        measured[f"{view} to picture"] = min(person.nudge(view) for _ in range(3))

    person.press("Start")
    measured["start to training"] = person.until_it_says("Running: each learner", 120)
    person.nudge(knob)
    person.nudge(views[-1])
    assert person.page.get_by_text(drawn).is_visible()

    person.press("Stop")
    measured["stop"] = person.until_it_says("Stopped")
    assert measured["stop"] < 4


@pytest.mark.parametrize("folder", [LABORATORY], indirect=True)
def test_redraw_and_change_the_design(person: Person) -> None:
    page, measured = person.page, person.measured
    measured["laboratory"] = person.open(120)
    person.until_it_says("500 redraws of 20 of 100 sites. Mean")

    person.press("Start")
    measured["enough redraws"] = person.until_it_says("20,000 redraws of 20 of 100 sites")
    assert "; unbiased." in page.locator("[role=status]").last.inner_text()
    person.choose("design", "stratified")
    person.until_it_says("500 redraws of 20 of 100 sites. Mean")
    person.press("Start")
    person.until_it_says("20,000 redraws of 20 of 100 sites")

    person.choose("design", "stratified-by-state")
    measured["new design"] = person.until_it_says("500 redraws of 20 of 100 sites. No noise")
    person.choose("estimator", "lifted, difference")
    person.choose("design", "without-replacement")
    person.until_it_says("500 redraws of 20 of 100 sites. Mean")


@pytest.mark.parametrize("folder", [DASHBOARD], indirect=True)
def test_runs_in_a_table(person: Person, folder: Path) -> None:
    page, measured = person.page, person.measured
    measured["dashboard"] = person.open(90, "Full against partial")
    person.press("Full against partial")
    # What a round leaves, the roll-out: a percentage may have gone by between two looks.
    pressed = time.monotonic()
    page.wait_for_selector(".js-plotly-plot .x3y3 .scatterlayer path", timeout=120_000)
    measured["first round"] = time.monotonic() - pressed

    person.choose("macro model", "MLP")
    person.press("Stop")
    measured["stop"] = person.until_it_says("Stopped. 2 unfinished")
    assert measured["stop"] < 4
    row = page.locator(".widget-hbox", has=page.locator("input[type=text]"))
    row.first.locator("input[type=text]").fill("mine")
    page.keyboard.press("Enter")

    person.press("Save session")
    person.until_it_says("Saved ")
    with page.expect_download() as download:
        page.get_by_text("download", exact=True).click()
    row.last.get_by_role("button", name="Delete").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open session").click()
    chooser.value.set_files(download.value.path())
    person.until_it_says("Opened ")
    page.wait_for_function(
        """expected => [...document.querySelectorAll('.widget-text input')].map(
               one => one.value).join() === expected""",
        arg="mine,mine (2),a fifth of the forces",
    )

    person.press("Resume")
    measured["resumed"] = person.until_it_says("mine: ", 60)
    person.press("Stop")
    person.until_it_says("Stopped. 3 unfinished")
