"""JupyterLab with one panel in it, and a person before it: for test_browser.py and look.py."""

import contextlib
import json
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
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PANELS = {
    "01_predator_prey": "lab",
    "02_lennard_jones": "lab",
    "03_allen_cahn": "lab",
    "04_why_partial_forces_work": "lab",
    "06_dashboard": "dashboard",
}

# Errors on the console that are not ours: a part of the text, and why it is there.
ALLOWED = {"Failed to load resource: net::ERR_": "the Binder badge, where there is no network"}


def of_a_user() -> dict[str, str]:
    """The environment, without what makes panels headless in tests."""
    of_tests = ("PYTEST_CURRENT_TEST", "MACROKIT_HEADLESS", "MACROKIT_FAST")
    return {name: value for name, value in os.environ.items() if name not in of_tests}


def cut(name: str, folder: Path, *, fast: bool = False) -> None:
    """Write lab.ipynb: a notebook up to the cell that shows its panel, then one that is busy for
    long.

    - `fast`: with the notebook's fast data, but steps enough that there is time to press Stop.
    """
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    last = _number(notebook, lambda source: source.splitlines()[-1:] == [PANELS[name]])
    notebook.cells[last + 1 :] = [_code("import time; time.sleep(900)")]
    if fast:
        sizes = _number(notebook, lambda source: "steps = mk.size(" in source)
        notebook.cells.insert(sizes + 1, _code("steps = 20_000"))
        notebook.cells.insert(0, _code("%env MACROKIT_SIZE=fast"))
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "lab.ipynb")


def _number(notebook: nbformat.NotebookNode, wanted: Callable[[str], bool]) -> int:
    cells = enumerate(notebook.cells)
    return next(n for n, cell in cells if cell.cell_type == "code" and wanted(cell.source))


def _code(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source)


@contextlib.contextmanager
def jupyterlab(folder: Path, *, dark: bool = False) -> Iterator[str]:
    """JupyterLab on a free port, with settings of its own; gone in the end, whatever happens.
    Yields the address of lab.ipynb."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    environment = of_a_user() | {
        # At the fast size it would be over before anyone could press Stop.
        "MACROKIT_SIZE": "default",
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(folder / ".config"),
        "JUPYTER_DATA_DIR": str(folder / ".data"),
        "IPYTHONDIR": str(folder / ".ipython"),
        "MACROKIT_DATA": str(folder / "data"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    settings = folder / ".config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    for name, chosen in {
        "themes": {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"},
        "notification": {"fetchNews": "false", "checkForUpdates": False},  # no box asks for it
    }.items():
        (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(chosen))
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
    address = f"http://127.0.0.1:{port}/lab/tree/lab.ipynb?token={token}"
    try:
        _wait_for(address)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # it takes its kernel with it
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()


def _wait_for(address: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@contextlib.contextmanager
def page(**options: object) -> Iterator[object]:
    """A page of Chromium's, 1280 × 720; `options` are playwright's, of a page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser.new_page(viewport={"width": 1280, "height": 720}, **options)
        finally:
            browser.close()


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
        # The panel's own: what is above the page is hidden by some versions of JupyterLab.
        self.page.wait_for_selector(".jupyter-widgets .js-plotly-plot .main-svg", timeout=30_000)
        return time.monotonic() - begun

    def scroll_to_panel(self) -> None:
        """Have JupyterLab show the cell of the panel."""
        self.page.evaluate(
            """async () => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                const shown = cell => cell.node.querySelector('.widget-button') !== null;
                await notebook.scrollToItem(notebook.widgets.findIndex(shown), 'start');
            }"""
        )

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
