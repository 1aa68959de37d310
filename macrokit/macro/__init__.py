"""Macroscopic dynamics, dz/dt = g(z).

Each model here is a field G on standardised variables; a scaling turns it into g in the units of
z. `Structured` keeps what a field guarantees: of OnsagerNet, and of SharedOnsagerNet without a
forcing, that V never grows; of GFINN, that E is conserved and S never falls. `Affine` is the
released code's scaling and keeps none of it; an MLP has nothing to keep. `Driven` makes a field of
few variables one of many that follow them.
"""

import functools

import jax

from .._types import Key
from ._abstract import AbstractMacro as AbstractMacro
from ._abstract import Guarantee as Guarantee
from ._driven import Driven as Driven
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
# Of the released code, beside those that are for use.
_PARITY = {"relu-mlp": functools.partial(MLP, activation=jax.nn.relu)}
SCALINGS = {"structured": Structured, "affine": Affine}


def build(
    name: str,
    dim: int,
    width: int,
    depth: int | None = None,
    *,
    leading: int | None = None,
    key: Key,
) -> AbstractMacro:
    """A field of the table by name, of its own depth unless told otherwise; with `leading`,
    `Driven` by a field of so many variables."""
    field = (TABLE | _PARITY)[name]
    if depth is not None:
        field = functools.partial(field, depth=depth)
    if leading is None:
        return field(dim, width, key=key)
    return Driven(dim, leading, width, field=field, key=key)
