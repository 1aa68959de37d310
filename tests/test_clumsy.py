"""Minutes of clumsy hands (tools/clumsy.py): nothing hangs, gets lost, or piles up."""

import contextlib
import subprocess
import sys
from pathlib import Path

import browser
import clumsy
import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "clumsy.py"
MINUTES = 5.0  # in all


@pytest.mark.slow
def test_nothing_hangs_and_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """Before all panels at once, each in a process of its own, as notebooks have it."""
    minutes = str(MINUTES / len(clumsy.PANELS))
    with contextlib.ExitStack() as stack:
        hands = []
        for panel in clumsy.PANELS:
            command = [sys.executable, str(TOOL), "--panel", panel, "--minutes", minutes]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=browser.of_a_user(),
            )
            hands.append(stack.enter_context(process))
            stack.callback(process.kill)  # before it is waited for
        for process in hands:
            said, _ = process.communicate(timeout=600)
            assert process.returncode == 0, said
            with capsys.disabled():
                print(f"\n  {said.strip()}")


class Forgetful:
    """A panel that loses what was learned when it is pressed."""

    def __init__(self) -> None:
        self.scores = 3
        self.widget = clumsy.widgets.VBox([clumsy.widgets.Button(description="Start")])
        self.widget.children[0].on_click(lambda _: setattr(self, "scores", 0))


def test_a_loss_is_noticed() -> None:
    panel = Forgetful()
    with pytest.raises(AssertionError, match="Button Start lost 1 results"):
        clumsy.Hands(panel, lambda: {0: panel.scores}, seed=0).act()
