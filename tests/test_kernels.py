"""Panels in kernels of their own, as two notebooks have them, and a kernel that is interrupted."""

import os
import queue
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parents[1]
LAB = """
import clumsy
from macrokit import ui
lab = ui.Lab(clumsy.small_contest())
lab.start()
"""


class Notebook:
    """A kernel, and who runs cells in it."""

    def __init__(self, kernel: KernelManager, client: BlockingKernelClient):
        self.kernel, self.client = kernel, client

    def begin(self, code: str) -> str:
        return self.client.execute(code)

    def end(self, cell: str) -> tuple[str, str]:
        """What a cell printed, and "ok" or the name of the error that ended it."""
        while True:
            reply = self.client.get_shell_msg(timeout=120)
            if reply["parent_header"]["msg_id"] == cell:
                break
        printed = ""
        while True:
            message = self.client.get_iopub_msg(timeout=10)
            content = message["content"]
            if message["parent_header"].get("msg_id") != cell:
                continue
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                printed += content["text"]
            if content.get("execution_state") == "idle":
                return printed.strip(), reply["content"].get("ename", "ok")

    def run(self, code: str) -> tuple[str, str]:
        return self.end(self.begin(code))


@pytest.fixture
def notebooks(tmp_path: Path) -> Iterator[list[Notebook]]:
    """Two of them. They are no tests, so that the panels have their threads."""
    environment = browser.of_a_user()
    path = [str(ROOT), str(ROOT / "tools"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path)
    environment["IPYTHONDIR"] = str(tmp_path)
    opened = []
    for _ in range(2):
        kernel = KernelManager(kernel_name="python3")
        kernel.start_kernel(env=environment, cwd=str(tmp_path))
        client = kernel.blocking_client()
        client.start_channels()
        opened.append(Notebook(kernel, client))
    for notebook in opened:
        notebook.client.wait_for_ready(timeout=60)
    yield opened
    for notebook in opened:
        notebook.client.stop_channels()
        notebook.kernel.shutdown_kernel(now=True)


@pytest.mark.slow
def test_two_notebooks_at_once_and_an_interrupt(notebooks: list[Notebook]) -> None:
    one, other = notebooks
    for cell in [(n, n.begin(LAB)) for n in notebooks]:
        assert cell[0].end(cell[1])[1] == "ok"
    waiting = one.begin("lab.wait()")
    with pytest.raises(queue.Empty):  # it trains, and the cell waits for it
        one.client.get_shell_msg(timeout=2)
    one.kernel.interrupt_kernel()
    assert one.end(waiting)[1] == "KeyboardInterrupt"
    assert one.run("print(lab.run.state)") == ("running", "ok")  # what trains goes on
    assert one.run("lab.stop(); print(lab.wait(60), lab.run.state)") == ("True stopped", "ok")
    finish = "lab.start(); lab.wait(); print([s.error.tolist() for s in lab.run.scores])"
    scores = [notebook.end(cell) for notebook, cell in [(n, n.begin(finish)) for n in notebooks]]
    assert scores[0] == scores[1]
    assert scores[0][0].count("[") == 1 + 8
    assert other.run("print(lab.run.state)") == ("finished", "ok")
