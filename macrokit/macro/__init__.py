"""Macroscopic dynamics, dz/dt = g(z).

Each model here is a field G on standardised variables; a scaling turns it into g in the units of
z. `Structured` keeps what OnsagerNet guarantees, `Affine` is the released code's scaling and does
not.
"""

from ._abstract import AbstractMacro as AbstractMacro
from ._mlp import MLP as MLP
from ._onsager_net import OnsagerNet as OnsagerNet
from ._scaling import AbstractScaling as AbstractScaling
from ._scaling import Affine as Affine
from ._scaling import Structured as Structured

TABLE = {"onsagernet": OnsagerNet, "mlp": MLP}
SCALINGS = {"structured": Structured, "affine": Affine}
