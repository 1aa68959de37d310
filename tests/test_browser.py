"""The panels as a person meets them: JupyterLab in a real browser, the notebooks' own cells."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks" / "01_predator_prey.ipynb"
LENNARD_JONES = ROOT / "notebooks" / "02_lennard_jones.ipynb"
ALLEN_CAHN = ROOT / "notebooks" / "03_allen_cahn.ipynb"
DASHBOARD = ROOT / "notebooks" / "06_dashboard.ipynb"
LABORATORY = ROOT / "notebooks" / "04_why_partial_forces_work.ipynb"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]

# Errors on the console that are not ours: a part of the text, and why it is there.
ALLOWED = {"Failed to load resource: net::ERR_": "the Binder badge, where there is no network"}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=f"none of {', '.join(BROWSERS)} is on the PATH"),
]


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A notebook up to the cell that shows the panel, then one that is busy for long."""
    notebook = nbformat.read(getattr(request, "param", NOTEBOOK), as_version=4)
    last = next(
        number
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and cell.source.splitlines()[-1:] in (["lab"], ["dashboard"])
    )
    notebook.cells[last + 1 :] = [nbformat.v4.new_code_cell("import time; time.sleep(900)")]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "lab.ipynb")
    return tmp_path


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """JupyterLab on a free port, with settings of its own; gone in the end, whatever happens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    of_tests = ("PYTEST_CURRENT_TEST", "MACROKIT_HEADLESS", "MACROKIT_FAST")
    of_tests += ("JAX_DISABLE_MOST_OPTIMIZATIONS",)
    environment = {name: value for name, value in os.environ.items() if name not in of_tests}
    environment |= {
        # At the fast size it would be over before anyone could press Stop.
        "MACROKIT_SIZE": "default",
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(folder / ".config"),
        "JUPYTER_DATA_DIR": str(folder / ".data"),
        "IPYTHONDIR": str(folder / ".ipython"),
        "MACROKIT_DATA": str(folder / "data"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    options = {
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": folder,
        "LabApp.expose_app_in_browser": True,
        "LabApp.news_url": None,
    }
    command = [sys.executable, "-m", "jupyterlab"]
    command += [f"--{name}={value}" for name, value in options.items()]
    log = (folder / "server.log").open("wb")
    server = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield f"http://127.0.0.1:{port}/lab/tree/lab.ipynb?token={token}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # it takes its kernel with it
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()


def wait_for_server(address: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


class Person:
    """Looks at the panel and presses its buttons."""

    def __init__(self, page: object, address: str):
        self.page, self.address = page, address
        self.errors: list[str] = []
        self.measured: dict[str, float] = {}
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def run_all_cells(self) -> None:
        self.page.goto(self.address)
        widget = "window.jupyterapp?.shell.currentWidget"
        self.page.wait_for_function(f"{widget}?.sessionContext?.session?.kernel", timeout=60_000)
        self.page.evaluate("window.jupyterapp.shell.collapseLeft()")
        self.command("notebook:run-all-cells", wait=False)

    def command(self, name: str, *, wait: bool = True) -> None:
        """One of JupyterLab's menus, and wait until it is done."""
        void = "" if wait else "void "
        self.page.evaluate(f"{void}window.jupyterapp.commands.execute('{name}')")

    def open(self, seconds: float, button: str = "Start") -> float:
        """Run all cells and wait for the panel and its plot; returns how long it took."""
        begun = time.monotonic()
        self.run_all_cells()
        self.page.wait_for_selector(f"button:text-is('{button}'):enabled", timeout=1000 * seconds)
        self.page.wait_for_selector(".js-plotly-plot .main-svg", timeout=30_000)
        return time.monotonic() - begun

    def complaints(self) -> list[str]:
        """Errors on the console that nothing explains."""
        return [e for e in self.errors if not any(known in e for known in ALLOWED)]

    def press(self, name: str) -> None:
        self.page.locator(f"button.widget-button:text-is('{name}'):enabled").click()

    def until_it_says(self, start: str, seconds: float = 60) -> float:
        """Wait for a status line that starts like this; returns how long it took."""
        begun = time.monotonic()
        self.page.wait_for_function(
            """start => [...document.querySelectorAll('[role=status]')].some(
                   line => line.textContent.startsWith(start))""",
            arg=start,
            timeout=1000 * seconds,
        )
        return time.monotonic() - begun

    def percent(self) -> int:
        text = self.page.locator(".widget-label", has_text="round ").inner_text()
        return int(text.partition("·")[2].partition("%")[0])

    def choose(self, name: str, option: str) -> None:
        self.page.locator(".widget-dropdown", has_text=name).locator("select").select_option(option)

    def picture(self) -> str:
        return self.page.locator("img.widget-image").first.get_attribute("src")

    def nudge(self, slider: str) -> float:
        """Move a slider by the keyboard; returns how long the new picture took."""
        row = self.page.locator(".widget-slider", has_text=slider)
        number, before = row.locator(".widget-readout").inner_text(), self.picture()
        row.locator(".noUi-handle").focus()
        begun = time.monotonic()
        self.page.keyboard.press("ArrowRight")
        self.page.wait_for_function(
            "old => document.querySelector('img.widget-image').src !== old", arg=before
        )
        taken = time.monotonic() - begun
        assert row.locator(".widget-readout").inner_text() != number
        return taken


@pytest.fixture
def person(address: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Person]:
    """A person before the running server; leaves a picture, has nothing to complain about, and says
    what took how long."""
    sync_api = pytest.importorskip("playwright.sync_api")
    wait_for_server(address)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        person = Person(browser.new_page(viewport={"width": 1280, "height": 720}), address)
        try:
            yield person
        finally:
            person.page.screenshot(path=folder / "panel.png")
            browser.close()
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
    page.wait_for_selector("button:text-is('Stop'):enabled", timeout=60_000)
    measured["open again"] = time.monotonic() - begun
    page.locator("button:text-is('Stop')").scroll_into_view_if_needed()
    page.wait_for_selector(".js-plotly-plot .scatterlayer path", timeout=30_000)
    person.press("Stop")
    person.until_it_says("Stopped with")


@pytest.mark.parametrize(
    ("folder", "views", "knob", "drawn"),
    [
        (ALLEN_CAHN, ("frame",), "outer", ", 400 nodes drawn"),
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
    measured["first round"] = person.until_it_says("all forces: 20 %", 120)
    page.wait_for_selector(".js-plotly-plot .x3y3 .scatterlayer path", timeout=10_000)

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
