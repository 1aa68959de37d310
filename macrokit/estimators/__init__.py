"""Estimators: from the forces that were bought to a training direction.

Whatever the estimator, a snapshot becomes (z, S, b), and training follows S g(z) − b. With all
forces S g − b is the gradient of the full loss; with some it is an unbiased estimate of it. What
is learned from never mentions sites, N or the system again.
"""

from ._abstract import AbstractEstimator as AbstractEstimator
from ._abstract import Labels as Labels
from ._exact import Exact as Exact
from ._label import label as label
from ._lifted import Lifted as Lifted

TABLE = {"exact": Exact, "lifted": Lifted}
