"""Draw docs/comparison.png, the README's picture, from the recorded experiment.

python tools/make_picture.py
"""

from playwright.sync_api import sync_playwright
from render_notebooks import ROOT, draw, open_page

from macrokit import experiments, plots


def main() -> None:
    record = experiments.read_results("predator-prey-full")
    figure = plots.recorded_figure(record, experiments.PUBLISHED["predator-prey"])
    figure.update_layout(width=900, height=480)
    path = ROOT / "docs" / "comparison.png"
    path.parent.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        path.write_bytes(draw(open_page(playwright), figure.to_plotly_json()))
    print(path)


if __name__ == "__main__":
    main()
