"""Redraws in progress: what the estimator laboratory shows, without any widget."""

import threading
from collections.abc import Generator

import jax
import numpy as np

from .._closure import Closure
from .._memory import release_growth
from .._redraws import Redraws, redraw
from .._sampling import make_design
from .._types import AnyArray
from ..systems import AbstractSystem

# Redraws between two looks at the Stop button, and when enough is enough.
BATCH, ENOUGH = 500, 20_000


class Redrawing:
    """The sites of one state, drawn again and again under settings that may change at any time.

    - `states`: (states, sites, channels) to choose from by `state`.
    - `design`: a name of the catalogue. - `number`: sites. - `control`: how much the model knows of
      dz/dt, 0 for the direct estimator.
    """

    def __init__(
        self, system: AbstractSystem, closure: Closure, states: AnyArray, *, seed: int = 0
    ):
        self.system, self.closure, self.states = system, closure, np.asarray(states)
        self.design, self.number, self.control, self.state = "without-replacement", 1, 0.0, 0
        self.seed = seed
        self._lock = threading.RLock()
        self._batches: list[Redraws] = []
        self._version = 0

    def change(self, **settings: object) -> None:
        """Other settings; what was drawn under the old ones is forgotten."""
        with self._lock:
            for name, value in settings.items():
                setattr(self, name, value)
            self._batches = []
            self._version += 1

    def more(self) -> None:
        """Another batch of redraws, under the settings of this moment."""
        with self._lock:
            version, first = self._version, len(self._batches)
            design = make_design(self.design, self.closure)
            number, control, x = self.number, self.control, self.states[self.state]
        key = jax.random.fold_in(jax.random.key(self.seed), first)
        batch = redraw(
            self.system, self.closure, x, design, number, control=control, count=BATCH, key=key
        )
        with self._lock:
            if version == self._version:  # else the settings have changed meanwhile
                self._batches.append(batch)

    def items(self) -> Generator[None]:
        """Batch after batch, until there are enough of them."""
        release_growth()
        while self.count < ENOUGH:
            self.more()
            yield

    @property
    def count(self) -> int:
        return BATCH * len(self._batches)

    @property
    def redraws(self) -> Redraws | None:
        """All that was drawn under the present settings, or None."""
        with self._lock:
            batches = list(self._batches)
        if not batches:
            return None
        last = batches[-1]
        estimates = np.concatenate([batch.estimates for batch in batches])
        return Redraws(estimates, last.truth, last.variance, last.sites)
