"""Write what LAMMPS says about 800 Lennard-Jones atoms, for those who have no LAMMPS.

    python tools/make_lennard_jones_reference.py

- macrokit/data/lennard-jones-800.npz: the paper's start. Positions r after its loose minimisation
  and velocities v of temperature 1; x₀ = (r, √T₀ v) with T₀ ~ U(0.5, 1.5) is the paper's family.
- tests/data/lennard-jones-reference.npz: a liquid, the force on each of its atoms, and 250 steps
  from it, to test `LennardJones` against.

Needs `pip install -e ".[dev]"`.
"""

import importlib.metadata
from pathlib import Path

import numpy as np

from macrokit._storage import save_arrays
from macrokit.systems import LammpsLennardJones

ROOT = Path(__file__).resolve().parents[1]
START = ROOT / "macrokit" / "data" / "lennard-jones-800.npz"
REFERENCE = ROOT / "tests" / "data" / "lennard-jones-reference.npz"

# The paper's: seeds of LAMMPS, energy tolerance of its minimisation, time step.
PLACEMENT, VELOCITIES, TOLERANCE, STEP = 34141, 87878, 0.1, 1e-3


def made_by() -> dict[str, str]:
    return {
        "command": "python tools/make_lennard_jones_reference.py",
        "lammps": importlib.metadata.version("lammps"),
    }


def make_start(system: LammpsLennardJones) -> dict[str, np.ndarray | str | float]:
    return {
        "r": system.placement(seed=PLACEMENT, tolerance=TOLERANCE),
        "v": system.velocities(seed=VELOCITIES),
        "box": system.box,
        "cutoff": system.cutoff,
        "placement_seed": PLACEMENT,
        "velocity_seed": VELOCITIES,
        "tolerance": TOLERANCE,
        **made_by(),
    }


def make_reference(
    system: LammpsLennardJones, r: np.ndarray, v: np.ndarray
) -> dict[str, np.ndarray | str | float]:
    """Of the liquid that the start at T₀ = 1 has become after 2,000 steps."""
    x0 = system.start(r, v, 1.0)
    x = system.simulate(x0, steps=2000, step=STEP, every=2000)[-1]
    frames = system.simulate(x, steps=250, step=STEP)
    return {
        "x": x,
        "force": system.force(x)[:, 3:],
        "potential_energy_per_atom": system.potential_energy(x) / system.atoms,
        "step": STEP,
        "temperature": temperatures(frames),
        "energy_per_atom": np.array([system.energy(frame) for frame in frames]) / system.atoms,
        "final_positions": frames[-1, :, :3].astype(np.float32),
        "box": system.box,
        "cutoff": system.cutoff,
        **made_by(),
    }


def temperatures(frames: np.ndarray) -> np.ndarray:
    return (frames[:, :, 3:] ** 2).sum(axis=(1, 2)) / (3 * (frames.shape[1] - 1))


def main() -> None:
    system = LammpsLennardJones()
    start = make_start(system)
    r, v = start["r"], start["v"]
    for path, content in ((START, start), (REFERENCE, make_reference(system, r, v))):
        save_arrays(path, **content)
        print(path.relative_to(ROOT), f"{path.stat().st_size / 1000:.0f} kB")
    for T0 in (0.5, 0.75, 1.0, 1.25, 1.5):
        T = temperatures(system.simulate(system.start(r, v, T0), step=STEP))
        print(f"T₀ = {T0:.2f}: T = " + " ".join(f"{t:.4f}" for t in T[::50]))


if __name__ == "__main__":
    main()
