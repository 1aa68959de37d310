"""Minutes of clumsy hands (tools/clumsy.py): nothing hangs, gets lost, or piles up."""

from pathlib import Path

import clumsy
import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("panel", "seconds"), [("lab", 60), ("dashboard", 60), ("laboratory", 30)])
def test_nothing_hangs_and_nothing_is_lost(
    panel: str, seconds: float, threads: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = clumsy.clumsy(panel, seconds, 0, tmp_path)
    with capsys.disabled():
        print(f"\n  {said}")


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
