"""Panels for notebooks: the only place that knows ipywidgets.

A panel shows a state that lives elsewhere and turns clicks into calls: `Simulator` simulates what
its sliders say, `Comparison` drives a `Run` (a contest in progress, a value that can be stopped,
resumed and saved), `Lab` puts both around one figure. Training runs on one worker thread, so that
the controls stay alive; the screen is brought up to date at most every 0.2 s, and what takes long
to draw less often. Making a panel displays nothing; as the last line of a cell it appears. Headless
(MACROKIT_HEADLESS=1, or under pytest) `start()` runs to the end and raises what goes wrong.

Kernels with panels often live on small servers, so that importing this makes glibc keep less memory
(`_memory.keep_little`).
"""

from .._memory import keep_little
from ._comparison import Comparison as Comparison
from ._dashboard import Dashboard as Dashboard
from ._lab import Lab as Lab
from ._laboratory import EstimatorLaboratory as EstimatorLaboratory
from ._run import Run as Run
from ._scenes import SCENES as SCENES
from ._scenes import Knob as Knob
from ._scenes import Scene as Scene
from ._session import Session as Session
from ._simulator import Simulator as Simulator
from ._trial import Trial as Trial
from ._worker import Worker as Worker

keep_little()
