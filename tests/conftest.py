"""Annotations of shapes and types are checked (jaxtyping with beartype), arrays of different rank
never combine silently, and every warning is an error."""

import os
from collections.abc import Iterator
from importlib.metadata import version

# Nearly all the time of these tests is compilation. Without these emitters it takes less, in
# the notebooks' kernels too, which inherit this; before JAX starts. XLA ends a process that asks
# for a flag it does not know, and jaxlib 0.12, which Python 3.11 does not get, does not know this.
if version("jaxlib").startswith("0.10."):
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false"

import jax
import jaxtyping
import pytest

# Before anything imports macrokit. An int is a float, as for any type checker (PEP 484).
jaxtyping.install_import_hook(
    "macrokit", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)  # compiles in half the time

# Side by side (pytest-xdist) each has a core of its own: threads that compete for the same cores
# take more of their time than two cores bring. One more has them all: it fills what others leave.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
if "PYTEST_XDIST_WORKER" in os.environ:
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    if number < len(CORES):
        os.sched_setaffinity(0, {CORES[number]})


def pytest_xdist_auto_num_workers() -> int | None:
    """For `-n auto`; None leaves it to the plugin."""
    return len(CORES) + 1 if CORES else None


@pytest.fixture(autouse=True)
def compiled_programs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this process has compiled: some tests count compilations."""
    monkeypatch.setattr("macrokit._memory._ROOM", float("inf"))


@pytest.fixture
def as_user() -> Iterator[None]:
    """Without the checked annotations, as outside the tests: for the package's own error texts."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def double() -> Iterator[None]:
    """Float64. Whatever the test needs must be built inside the test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook: the run has its worker thread."""
    monkeypatch.setattr("macrokit.ui._worker.headless", lambda: False)
