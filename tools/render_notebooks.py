"""Run the notebooks at their default size and store outputs that read on a code host.

    python tools/render_notebooks.py [notebooks/01_predator_prey.ipynb …]

Code hosts show PNG but not plotly figures, so each plotly output gets a PNG beside it, drawn by the
system's Chromium. Ends by cleaning the notebook (tools/clean_notebooks.py), which puts the words of
the cell's metadata under "alt" beside each PNG; a cell that has none is named.
"""

import argparse
import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import plotly.io as pio
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PLOTLY = "application/vnd.plotly.v1+json"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def run(path: Path) -> None:
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook", "--execute"]
    subprocess.run([*command, "--inplace", str(path)], check=True, cwd=path.parent)


def draw(page: Page, figure: dict) -> bytes:
    """The figure as a PNG on white, at its own height."""
    figure = pio.from_json(json.dumps(figure), skip_invalid=True)
    figure.update_layout(paper_bgcolor="white", plot_bgcolor="white")
    page.set_content(figure.to_html(include_plotlyjs=True, full_html=True))
    page.wait_for_selector(".plotly-graph-div .main-svg")
    page.wait_for_timeout(500)
    return page.locator(".plotly-graph-div").first.screenshot()


def add_pictures(path: Path, page: Page) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY in data:
                data["image/png"] = base64.b64encode(draw(page, data[PLOTLY])).decode()
                data.pop("text/html", None)
                if not cell.metadata.get("alt"):
                    print(f"{path.name}: no alt text in the metadata of cell {cell.id}")
    nbformat.write(notebook, path)


def open_page(playwright) -> Page:
    executable = next((p for name in CHROMIUM if (p := shutil.which(name))), None)
    if executable is None:
        raise SystemExit(f"No Chromium found: install one of {', '.join(CHROMIUM)}.")
    browser = playwright.chromium.launch(
        executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
    )
    return browser.new_page(viewport={"width": 1000, "height": 700})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    chosen = parser.parse_args().notebooks or sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in chosen:
        print(f"running {path.name}", flush=True)
        run(path.resolve())
    with sync_playwright() as playwright:
        page = open_page(playwright)
        for path in chosen:
            add_pictures(path, page)
    cleaner = ROOT / "tools" / "clean_notebooks.py"
    subprocess.run([sys.executable, str(cleaner), *map(str, chosen)], check=True)


if __name__ == "__main__":
    main()
