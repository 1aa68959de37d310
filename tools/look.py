"""Pictures of every panel, in the light and in the dark theme of JupyterLab, to be looked at.

    python tools/look.py FOLDER [01_predator_prey …]

Each panel is opened in Chromium at 1280 × 720, started, and left to train for a while; what it
looks like then is written to FOLDER/<notebook>-light.png and …-dark.png. Says what the console
complained of.
"""

import argparse
import tempfile
from pathlib import Path

import browser

FIRST = {"06_dashboard": "Full against partial"}


def look(name: str, folder: Path, *, dark: bool, seconds: float) -> list[str]:
    with tempfile.TemporaryDirectory() as place:
        browser.cut(name, Path(place))
        with browser.jupyterlab(Path(place), dark=dark) as address, browser.page() as page:
            person = browser.Person(page, address)
            button = FIRST.get(name, "Start")
            person.open(240, button)
            person.press(button)
            page.wait_for_timeout(1000 * seconds)
            panel = page.locator(".jp-OutputArea-output", has=page.locator(".js-plotly-plot"))
            panel.last.scroll_into_view_if_needed()
            page.evaluate("window.jupyterapp.shell.collapseRight()")
            page.wait_for_timeout(500)
            file = folder / f"{name}-{'dark' if dark else 'light'}.png"
            page.screenshot(path=file)
            panel.last.screenshot(path=file.with_stem(f"{file.stem}-whole"))
            return person.complaints()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("notebooks", nargs="*", default=list(browser.PANELS))
    parser.add_argument("--seconds", type=float, default=30.0, help="to train")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.notebooks:
        for dark in (False, True):
            complaints = look(name, options.folder, dark=dark, seconds=options.seconds)
            print(f"{name}, {'dark' if dark else 'light'}: {complaints or 'no complaints'}")


if __name__ == "__main__":
    main()
