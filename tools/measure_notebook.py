"""Seconds of every cell of a notebook, and the peak memory of its kernel.

    python tools/measure_notebook.py notebooks/01_predator_prey.ipynb

Runs it at the size that MACROKIT_SIZE chooses and leaves the file as it is. `taskset -c 0` before
the command measures one core.
"""

import argparse
from datetime import datetime
from pathlib import Path

import nbformat
from nbclient import NotebookClient

PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"


def seconds(cell: nbformat.NotebookNode) -> float:
    """From the start of a cell to the reply of the kernel."""
    times = cell.metadata["execution"]
    begin, end = (
        datetime.fromisoformat(times[name].replace("Z", "+00:00"))
        for name in ("iopub.execute_input", "shell.execute_reply")
    )
    return (end - begin).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    path = parser.parse_args().notebook.resolve()
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=3600, resources=resources, record_timing=True).execute()
    *cells, last = [cell for cell in notebook.cells if cell.cell_type == "code"]
    total = 0.0
    print(" cell   sum  (seconds)")
    for cell in cells:
        total += seconds(cell)
        print(f"{seconds(cell):5.1f} {total:5.1f}  {cell.source.splitlines()[0][:72]}")
    peak = last.outputs[0].text
    print(f"peak memory of the kernel: {int(peak)} MiB")


if __name__ == "__main__":
    main()
