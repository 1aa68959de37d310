"""Seconds of every cell of a notebook, until the first figure, and the peak memory of its kernel.

    python tools/measure_notebook.py [--brief] [--gigabytes 1.5] notebooks/01_predator_prey.ipynb …

Runs them at the size that MACROKIT_SIZE chooses and leaves the files as they are. `taskset -c 0`
before the command measures one core. With `--gigabytes` all that runs may take no more memory than
that, as on a server such as Binder's: a kernel that needs more is killed, and this fails (Linux, as
root).
"""

import argparse
import os
import time
from datetime import datetime
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FIGURES = ("application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json")


def seconds(cell: nbformat.NotebookNode) -> float:
    """From the start of a cell to the reply of the kernel."""
    times = cell.metadata["execution"]
    begin, end = (
        datetime.fromisoformat(times[name].replace("Z", "+00:00"))
        for name in ("iopub.execute_input", "shell.execute_reply")
    )
    return (end - begin).total_seconds()


def shows(cell: nbformat.NotebookNode) -> bool:
    """Whether it ends with a figure or a panel."""
    return any(kind in output.get("data", {}) for output in cell.outputs for kind in FIGURES)


def limited(gigabytes: float) -> None:
    """Put this process, and with it every kernel, where there is so much memory and no more."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    parent, name = (old, "memory.limit_in_bytes") if old.exists() else (new, "memory.max")
    group = parent / f"macrokit-{os.getpid()}"
    try:
        group.mkdir()
        (group / name).write_text(str(int(gigabytes * 1e9)))
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError as error:
        raise SystemExit(f"Memory can be limited by root, with control groups: {error}") from error


def peak(pid: int) -> int:
    """MiB that a process has had in memory at most, so far (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def measure(path: Path, *, brief: bool) -> None:
    notebook = nbformat.read(path, as_version=4)
    total, first, most = 0.0, None, 0

    def executed(cell: nbformat.NotebookNode, **_: object) -> None:
        nonlocal total, first, most
        total, most = total + seconds(cell), peak(client.km.provisioner.pid)
        first = total if first is None and shows(cell) else first
        if not brief:
            head = cell.source.splitlines()[0][:66]
            print(f"{seconds(cell):6.1f} {total:6.1f} {most:5d}  {head}", flush=True)

    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=3600, resources=resources, record_timing=True)
    client.on_cell_executed = executed
    if not brief:
        print("  seconds, their sum, peak memory (MiB), cell")
    begun = time.monotonic()
    client.execute()
    start = time.monotonic() - begun - total
    figure = "no figure" if first is None else f"first figure after {first:.0f} s"
    print(
        f"{path.name}: {total:.0f} s and {start:.0f} s for the kernel to start, {figure}, "
        f"peak memory of the kernel {most} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", type=Path, nargs="+")
    parser.add_argument("--brief", action="store_true", help="a line for each notebook")
    parser.add_argument("--gigabytes", type=float, help="of memory that there shall be")
    options = parser.parse_args()
    if options.gigabytes is not None:
        limited(options.gigabytes)
    for path in options.notebooks:
        measure(path.resolve(), brief=options.brief)


if __name__ == "__main__":
    main()
