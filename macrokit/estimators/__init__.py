"""Estimators: from the forces that were bought to a training direction.

Whatever the estimator, a snapshot becomes (z, S, b), and training follows S g(z) − b. With all
forces S g − b is the gradient of the full loss; with some it is an unbiased estimate of it. What
is learned from never mentions sites, N or the system again.

| estimator    | S              | b      | with K = J D_I A, h = J D_I f, y = J f                  |
|--------------|----------------|--------|---------------------------------------------------------|
| `Exact`      | W              | W y    | every force                                             |
| `Lifted`     | M⁻¹K = RᵀR     | M⁻¹h   | the paper's partial loss                                |
| `Direct`     | W              | W h    | the plain weighted sum                                  |
| `Difference` | W K            | W h    | the noise of `Lifted` in the metric of `Direct`         |
"""

from ._abstract import AbstractEstimator as AbstractEstimator
from ._abstract import Labels as Labels
from ._abstract import Rows as Rows
from ._abstract import joined as joined
from ._difference import Difference as Difference
from ._direct import Direct as Direct
from ._exact import Exact as Exact
from ._label import FreeRows as FreeRows
from ._label import known_rows as known_rows
from ._label import label as label
from ._lifted import Lifted as Lifted

TABLE = {"exact": Exact, "lifted": Lifted, "direct": Direct, "difference": Difference}
