#!/usr/bin/env python3
"""Strip from notebooks what a run leaves behind and no reader can use; keep the plain outputs.

    python tools/clean_notebooks.py [--check] [NOTEBOOK ...]

Goes: metadata.widgets (megabytes), execution counts and times, kernel and editor metadata, what was
written to stderr (progress bars, warnings with paths), and live widgets, which read "model not
found" in a notebook that is not running. Stays: text, tables, images, plain figures, cell tags.
What a cell's metadata say under "alt" is put beside its image, in words for who cannot see it.
Files are written as JupyterLab writes them, so that saving changes only what was edited.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = {"alt", "tags", "jupyter", "slideshow"}
IMAGE = "image/png"


def clean_output(output: dict) -> dict | None:
    """The output without its noise; None if nothing static is left."""
    if output["output_type"] == "stream":
        return None if output["name"] == "stderr" else output
    data = output.get("data", {})
    if WIDGET in data:
        # The text beside a widget is its Python repr, of use to nobody.
        data = {mime: value for mime, value in data.items() if mime not in (WIDGET, "text/plain")}
        if not data:
            return None
        output = output | {"data": data}
    if "execution_count" in output:
        output = output | {"execution_count": None}
    return output


def described(output: dict, alt: str) -> dict:
    """The output, with `alt` where readers of an image look for it: in its metadata, as IPython
    writes it and nbconvert's classic template reads it, and in the text beside it, as VS Code does.
    JupyterLab 4 reads neither, but draws the plotly figure, whose labels are text."""
    data = output.get("data", {})
    if IMAGE not in data:
        return output
    metadata = output["metadata"] | {IMAGE: {"alt": alt}}
    return output | {"data": data | {"text/plain": [alt]}, "metadata": metadata}


def clean_cell(cell: dict) -> dict:
    metadata = {key: value for key, value in cell["metadata"].items() if key in CELL_METADATA}
    cell = cell | {"metadata": metadata}
    if cell["cell_type"] == "code":
        outputs = [clean_output(output) for output in cell["outputs"]]
        outputs = [output for output in outputs if output is not None]
        if "alt" in metadata:
            outputs = [described(output, metadata["alt"]) for output in outputs]
        cell |= {"execution_count": None, "outputs": outputs}
    return cell


def clean(notebook: dict) -> dict:
    """A cleaned copy; `clean(clean(n)) == clean(n)`."""
    cells = [clean_cell(cell) for cell in notebook["cells"]]
    return notebook | {"cells": cells, "metadata": NOTEBOOK_METADATA}


def cleaned_text(text: str) -> str:
    return json.dumps(clean(json.loads(text)), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if not clean")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all in notebooks/")
    args = parser.parse_args(argv)

    paths = args.notebooks or sorted((ROOT / "notebooks").glob("*.ipynb"))
    if not paths:
        print(f"No notebooks in {ROOT / 'notebooks'}.", file=sys.stderr)
        return 1
    dirty = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        cleaned = cleaned_text(text)
        if cleaned != text:
            dirty.append(path)
            if not args.check:
                path.write_text(cleaned, encoding="utf-8")
                print(f"cleaned {path}")
    if args.check and dirty:
        names = " ".join(str(path) for path in dirty)
        print(
            f"Not clean: {names}\nRun: python tools/clean_notebooks.py {names}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
