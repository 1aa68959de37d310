"""Microscopic systems, dx/dt = f(x).

A system owns a state `x` of shape `(sites, channels)`, says what the force on *every* site is
(`force`), what the force on *chosen* sites is (`force_at`, which computes those and nothing else),
and which macroscopic observables are of interest (`observable`). A site is the unit in which forces
are computed and paid for: one coordinate, one grid node, one atom.

Write your own by subclassing `AbstractSystem`; wrap an engine that lives outside JAX, or a plain
NumPy function, with `HostSystem`, or subclass `AbstractHostSystem` as `LammpsLennardJones` does.
"""

from ._abstract import AbstractSystem as AbstractSystem
from ._allen_cahn import AllenCahn as AllenCahn
from ._host import AbstractHostSystem as AbstractHostSystem
from ._host import HostSystem as HostSystem
from ._lammps import LammpsLennardJones as LammpsLennardJones
from ._lennard_jones import LennardJones as LennardJones
from ._lennard_jones import VerletList as VerletList
from ._predator_prey import PredatorPrey as PredatorPrey

TABLE = {"predator-prey": PredatorPrey, "allen-cahn": AllenCahn, "lennard-jones": LennardJones}
