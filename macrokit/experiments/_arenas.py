"""Ready-made contests, one for each system: small enough for a class, made from a seed."""

from collections.abc import Callable

from ._contest import Contest, Learner
from ._data import Benchmark, allen_cahn, lennard_jones, predator_prey
from ._size import size


def _predator_prey() -> Contest:
    data = predator_prey(size(fast=40, default=400, full=1600), size(fast=5, default=20, full=100))
    return _contest(
        data,
        (
            Learner("all forces", "exact", 1.0),
            Learner("a fifth of the forces", "difference", 0.2, design="without-replacement"),
        ),
        size(fast=(15, 30), default=(30, 60, 120, 240, 600), full=(30, 60, 120, 240, 600, 3_000)),
        steps=size(fast=100, default=2_000, full=5_000),
    )


def _allen_cahn() -> Contest:
    grid = size(fast=40, default=48, full=200)
    data = allen_cahn(
        size(fast=12, default=30, full=400), size(fast=2, default=6, full=50), grid=grid
    )
    common = {"scaling": "affine", "width": 64}
    return _contest(
        data,
        (
            Learner("all nodes", "exact", 1.0, **common),
            Learner("one node in 25", "difference", 0.04, "stratified", **common),
        ),
        size(fast=(10, 20), default=(20, 40, 80, 160), full=(25, 50, 100, 200, 400)),
        steps=size(fast=100, default=2_000, full=5_000),
        metric="rate",
        noise=0.02,
        restoring=800.0,
    )


def _lennard_jones() -> Contest:
    data = lennard_jones(
        size(fast=8, default=20, full=90),
        size(fast=2, default=6, full=10),
        closure="principal-31",
    )
    common = {"scaling": "affine", "leading": 8, "width": 64}
    return _contest(
        data,
        (
            Learner("all atoms", "exact", 1.0, **common),
            Learner("fifty atoms", "difference", 1 / 16, "without-replacement", **common),
        ),
        size(fast=(10, 20), default=(20, 40, 80), full=(50, 100, 200, 400)),
        steps=size(fast=100, default=2_000, full=5_000),
        metric="rate",
        noise=0.01,
    )


def _contest(
    data: Benchmark, learners: tuple[Learner, ...], snapshots: tuple[int, ...], **settings
) -> Contest:
    """Budgets are those of so many complete `snapshots`."""
    return Contest(
        data.system,
        data.closure,
        pool=data.training,
        held_out=data.validation,
        learners=learners,
        budgets=tuple(count * data.system.num_sites for count in snapshots),
        members=size(fast=2, default=4, full=8),
        **settings,
    )


# Each is made when it is called: trajectories are simulated, a closure is made or read.
ARENAS: dict[str, Callable[[], Contest]] = {
    "predator–prey": _predator_prey,
    "Lennard-Jones": _lennard_jones,
    "Allen–Cahn": _allen_cahn,
}
