"""Macroscopic dynamics, dz/dt = g(z).

Each model here is a field G on standardised variables; a scaling turns it into g in the units of
z. `Structured` keeps what a field guarantees: of OnsagerNet, and of SharedOnsagerNet without a
forcing, that V never grows; of GFINN, that E is conserved and S never falls. `Affine` is the
released code's scaling and keeps none of it; an MLP has nothing to keep.
"""

from ._abstract import AbstractMacro as AbstractMacro
from ._abstract import Guarantee as Guarantee
from ._gfinn import GFINN as GFINN
from ._mlp import MLP as MLP
from ._onsager_net import OnsagerNet as OnsagerNet
from ._scaling import AbstractScaling as AbstractScaling
from ._scaling import Affine as Affine
from ._scaling import Structured as Structured
from ._shared_onsager_net import SharedOnsagerNet as SharedOnsagerNet

TABLE = {
    "onsagernet": OnsagerNet,
    "shared-onsagernet": SharedOnsagerNet,
    "gfinn": GFINN,
    "mlp": MLP,
}
SCALINGS = {"structured": Structured, "affine": Affine}
