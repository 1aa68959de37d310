"""Trajectories that do not fit in memory: simulated group by group, kept in chunks on disk."""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tqdm
import zarr
from filelock import FileLock
from jaxtyping import Array, Bool, Float, Int
from zarr.codecs import BloscCodec, Crc32cCodec

from ._memory import trim_memory
from ._parallel import cores, largest_divisor
from ._simulation import Trajectories, simulate
from ._storage import write_whole
from ._types import AnyArray, State
from .systems import AbstractSystem

# Numbers in a chunk on disk, and in the trajectories that are in memory at a time; each core has
# one of them at least.
_CHUNK, _GROUP = 1 << 19, 1 << 22


class StoredTrajectories:
    """Simulated runs in a folder, the counterpart of `Trajectories` for more than memory holds.

    A Zarr array x of shape (trajectories, times, sites, channels) in compressed chunks of some
    frames, each with its checksum; frames that do not count take no room.

    - `folder`: as made by `simulate_to`.

    Reading raises `ValueError` where a chunk is damaged.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        try:
            about = json.loads((self.folder / "trajectories.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(
                f"{self.folder} holds no complete trajectories. Make them with `simulate_to`; "
                "started again, it goes on where it was interrupted."
            ) from None
        self._x = zarr.open_array(self.folder / "x", mode="r")
        self.times = jnp.asarray(about["times"], self._x.dtype)
        self.lengths = np.asarray(about["lengths"])
        self.forces = int(about["forces"])
        self.seconds = float(about.get("seconds", 0.0))  # of simulating them; not always known

    def __len__(self) -> int:
        return len(self.lengths)

    def take(
        self, run: Int[np.ndarray, " snapshots"], time: Int[np.ndarray, " snapshots"]
    ) -> Float[np.ndarray, "snapshots sites channels"]:
        """The states of the chosen frames; each run is read once."""
        x = np.empty((len(run), *self._x.shape[2:]), self._x.dtype)
        for one in np.unique(run).tolist():
            mine = np.flatnonzero(run == one)
            first, last = int(time[mine].min()), int(time[mine].max()) + 1
            x[mine] = self._read(one, first, last)[time[mine] - first]
        return x

    def frames(self, run: int) -> Float[np.ndarray, "frames sites channels"]:
        """The states of one run, as many as count."""
        return self._read(run, 0, int(self.lengths[run]))

    def _read(self, run: int, first: int, last: int) -> np.ndarray:
        try:
            return np.asarray(self._x[run, first:last])
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"Trajectory {run} in {self.folder} is damaged ({error}). Delete the folder and "
                "simulate again."
            ) from error


def simulate_to(
    folder: str | os.PathLike,
    system: AbstractSystem,
    starts: Float[AnyArray, "trajectories sites channels"],
    *,
    duration: float,
    step: float,
    every: int = 1,
    method: str = "rk4",
    until: Callable[[State], Bool[Array, ""]] | None = None,
    progress: bool = True,
) -> StoredTrajectories:
    """`simulate` for more trajectories than memory holds: a group at a time, into a folder.

    Started again after an interruption it goes on with the group that was not finished; where all
    are there it simulates nothing. Of several processes one simulates, and the others wait for it.
    A folder is known by the system's class and parameters, by `starts`, `duration`, `step`, `every`
    and `method`; it does not know of another `until` or of an edited force: use a new folder then.

    Raises `ValueError` when the folder holds another simulation, or when the disk is full.
    """
    folder = Path(folder)
    settings = {"duration": duration, "step": step, "every": every, "method": method}
    _claim(folder, settings | {"starts": _fingerprint(system, starts)})
    complete = folder / "trajectories.json"
    if not complete.exists():
        with FileLock(folder / "lock"):
            if not complete.exists():
                _fill(folder, system, starts, settings | {"until": until}, progress)
    return StoredTrajectories(folder)


def _fill(
    folder: Path,
    system: AbstractSystem,
    starts: Float[AnyArray, "trajectories sites channels"],
    settings: dict[str, Any],
    progress: bool,
) -> None:
    """Simulate the groups that are not there. - `settings`: of `simulate`."""
    frames = round(settings["duration"] / settings["step"]) // settings["every"] + 1
    size = starts[0].size
    group = largest_divisor(len(starts), max(cores(), _GROUP // (frames * size)))
    note = folder / "so-far.json"
    # What is there may have been made in groups of another size, on another machine.
    about: dict[str, Any] = {"lengths": [], "forces": 0, "seconds": 0.0}
    if note.exists():
        about = json.loads(note.read_text(encoding="utf-8"))
    try:
        x = _open(folder, (len(starts), frames, *starts.shape[1:]))
        with tqdm.tqdm(
            total=len(starts),
            initial=len(about["lengths"]),
            disable=not progress,
            unit="trajectory",
            desc="simulating",
        ) as bar:
            while (first := len(about["lengths"])) < len(starts):
                begun = time.perf_counter()
                own = jnp.asarray(starts[first : first + group])
                runs = simulate(system, own, **settings)
                _write(x, first, runs)
                about = {
                    "times": np.asarray(runs.times).tolist(),
                    "lengths": about["lengths"] + runs.lengths.tolist(),
                    "forces": about["forces"] + runs.forces,
                    "seconds": about["seconds"] + time.perf_counter() - begun,
                }
                write_whole(note, json.dumps(about).encode())  # last: this group is complete
                del runs
                trim_memory()
                bar.update(len(own))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ValueError(
            f"The disk of {folder} is full. The trajectories that are complete stay: make room and "
            "start again, or choose another folder."
        ) from error
    note.replace(folder / "trajectories.json")


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """The folder is for this simulation and no other one."""
    note = folder / "settings.json"
    if not note.exists():
        # Apart from the same note, which another process is writing or was killed over.
        others = [f for f in folder.glob("*") if not f.match(f".{note.name}.*.part")]
        if not others:
            write_whole(note, json.dumps(settings).encode())
        elif not note.exists():  # asked again: another process may have claimed it between
            raise ValueError(
                f"{folder} holds other files. Choose a new folder for these trajectories."
            )
    found = json.loads(note.read_text(encoding="utf-8"))
    if found != settings:
        differing = sorted(k for k in settings if found.get(k) != settings[k])
        raise ValueError(
            f"{folder} holds another simulation: it differs in {', '.join(differing)}. Choose "
            "another folder, or delete this one."
        )


def _open(folder: Path, shape: tuple[int, ...]) -> zarr.Array:
    if (folder / "x" / "zarr.json").exists():
        return zarr.open_array(folder / "x", mode="r+")
    shutil.rmtree(folder / "x", ignore_errors=True)  # killed before it had begun
    frames = max(1, _CHUNK // int(np.prod(shape[2:])))
    return zarr.create_array(
        folder / "x",
        shape=shape,
        chunks=(1, min(frames, shape[1]), *shape[2:]),
        dtype=jnp.zeros(()).dtype,
        # Smooth fields are a quarter as large, and read as fast as without.
        compressors=[
            BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
            Crc32cCodec(),
        ],
        fill_value=float("nan"),
    )


def _write(x: zarr.Array, first: int, runs: Trajectories) -> None:
    for run, length in enumerate(runs.lengths):
        x[first + run, :length] = np.asarray(runs.x[run, :length])


def _fingerprint(system: AbstractSystem, starts: AnyArray) -> str:
    """Of the system with its parameters, and of the starts."""
    arrays = [np.asarray(a) for a in jax.tree.leaves(eqx.filter(system, eqx.is_array))]
    text = f"{eqx.tree_pformat(system)} {[a.tolist() for a in arrays]}"
    content = text.encode() + np.ascontiguousarray(starts).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]
