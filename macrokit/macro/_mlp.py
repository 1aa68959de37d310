from collections.abc import Callable

import equinox as eqx
import jax

from .._types import Key, Macro
from ._abstract import AbstractMacro


class MLP(AbstractMacro):
    """G(z) = a multilayer perceptron: no structure, no guarantee.

    - `dim`: d. - `width`, `depth`: hidden units, hidden layers.
    """

    net: eqx.nn.MLP
    dim: int

    def __init__(
        self,
        dim: int,
        width: int = 64,
        depth: int = 2,
        activation: Callable = jax.nn.tanh,
        *,
        key: Key,
    ):
        self.dim = dim
        self.net = eqx.nn.MLP(dim, dim, width, depth, activation, key=key)

    def __call__(self, z: Macro) -> Macro:
        return self.net(z)
