"""Experiments as data."""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from .._sampling import number_drawn


@dataclasses.dataclass(frozen=True)
class Cell:
    """One entry of a table: who learns, from how many forces, for how long.

    - `forces`: site forces drawn for training. - `fraction`: p, share of sites per snapshot.
    - `steps`, `learning_rate`, `batch`, `noise`, `restoring`: of training.
    - `width`, `depth`: of the network, `None` for the model's own depth.
    - `leading`: how many variables drive the others, if not all.
    - `seeds`: a seed draws snapshots, sites, initial weights and batch order.
    - `order`: how snapshots are chosen, "spread" over trajectories and time, or "prefix" (parity).
    - `closure`, `closure_seed`: "shipped", or a recipe of `_closures.py` made anew from that seed.
    - `metric`: W of the loss, one over the mean square of each macroscopic variable about its mean
      ("spread"), of its rate ("rate"), or 1 ("unit", parity), for the observables times
      `observable_weight`.
    - `atoms`: of the system, where an experiment has several sizes.
    - `judged_on`: "test" trajectories, or "validation" ones where a choice is made.
    - `curve`: at how many points of the training the error is recorded as well.
    """

    estimator: str
    fraction: float
    forces: int
    steps: int = 20_000
    seeds: tuple[int, ...] = tuple(range(8))
    design: str = "without-replacement"
    model: str = "onsagernet"
    scaling: str = "structured"
    optimiser: str = "adam"
    order: str = "spread"
    closure: str = "shipped"
    closure_seed: int = 0
    judged_on: str = "test"
    learning_rate: float = 5e-3
    batch: int = 256
    metric: str = "spread"
    width: int = 32
    noise: float = 0.0
    restoring: float = 0.0
    leading: int | None = None
    atoms: int | None = None
    curve: int = 0
    depth: int | None = None
    observable_weight: float = 1.0

    def drawn(self, sites: int) -> int:
        """How many of `sites` it draws in a snapshot."""
        return number_drawn(self.fraction, sites)

    def snapshots(self, sites: int) -> int:
        """How many snapshots of a system with that many `sites` its forces pay for."""
        return max(1, round(self.forces / (self.fraction * sites)))

    @property
    def loss(self) -> str:
        """The paper's name of the loss, where it has one."""
        if self.estimator == "exact":
            return "L_z"
        share = Fraction(self.fraction).limit_denominator(10_000)
        if self.estimator != "lifted":
            return f"{self.estimator}, {share}"
        return "L_x" if share == 1 else f"L_{{x,{share}}}"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Cells on one system's data. - `data`: further arguments of what makes them, in `_data.py`."""

    system: str
    cells: tuple[Cell, ...]
    trajectories: int
    test_trajectories: int
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
