"""The networks that the paper's authors released, judged by macrokit on test runs of its own."""

import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._closure import Closure, nonlinear_closure
from .._rollout import MacroModel, TestSet, test_errors
from .._training import stack
from ..macro import Affine, OnsagerNet
from ..systems import PredatorPrey
from ._data import predator_prey
from ._published import PUBLISHED
from ._settings import Cell
from ._torch_file import Module, read_torch

VARIABLE = "MACROKIT_RELEASED"
_CLOSURE = "Predator_Prey/checkpoints/AE_dim_4_2024_04_08_11:13:43"
_FULL = "Predator_Prey/checkpoints_100_lz_saved/G_N_100_n_{snapshots}_seed_{seed}"
_PARTIAL = "Predator_Prey/checkpoints_100_lx_saved/G_N_100_n_{snapshots}_seed_{seed}_d_{drawn}"
_SEEDS = (1, 2, 3)


def released_folder() -> Path:
    """The checkout of the released code that the environment variable MACROKIT_RELEASED names.

    Raises `ValueError` where it names none.
    """
    folder = Path(os.environ.get(VARIABLE, ""))
    if not (folder / _CLOSURE).is_dir():
        raise ValueError(
            f"{VARIABLE} must name a checkout of https://github.com/MLDS-NUS/Learn-Partial with "
            f"its checkpoints, but is {os.environ.get(VARIABLE)!r}. macrokit brings none of them."
        )
    return folder


def released_closure(folder: Path) -> tuple[Closure, Affine]:
    """The predator–prey autoencoder of the paper, and the scaling of its macroscopic models."""
    system = PredatorPrey()
    keys = jax.random.split(jax.random.key(0), 2)
    states = jax.vmap(lambda key: system.random_start(key=key))(keys)  # for the shapes
    closure = nonlinear_closure(system.observable, states, 2, 32, standardise=False, key=keys[0])
    file = read_torch(folder / _CLOSURE / "final.pt")
    first, *rest = (file[f"encoder_net.{n}"] for n in range(3))
    encoder = closure.encoder
    encoder = eqx.tree_at(
        lambda e: (e.weight, e.bias, e.head.net),
        encoder,
        (jnp.asarray(first["weight"]), jnp.asarray(first["bias"]), _filled(encoder.head.net, rest)),
    )
    said = read_torch(folder / _CLOSURE / "params.pt")
    names = ("Z_mean", "Z_std", "target_mean", "target_std")
    scaling = Affine(*(jnp.asarray(np.ravel(said[name]), jnp.float32) for name in names))
    return eqx.tree_at(lambda c: c.encoder, closure, encoder), scaling


def released_model(path: Path, scaling: Affine) -> MacroModel:
    """One trained OnsagerNet of the paper."""
    file = read_torch(path)
    net = OnsagerNet(4, key=jax.random.key(0))
    linear = range(0, 5, 2)  # tanh lies between
    net = eqx.tree_at(
        lambda n: (n.potential_net, n.matrix_net, n.gamma),
        net,
        (
            _filled(net.potential_net, [file[f"potential_net.{n}"] for n in linear]),
            _filled(net.matrix_net, [file[f"MW_net.{n}"] for n in linear]),
            jnp.asarray(file["gamma_layers.weight"]),
        ),
    )
    return MacroModel(net, scaling)


def released_errors(folder: Path | None = None) -> list[dict[str, Any]]:
    """Every number of the paper's predator–prey table: as published, and as macrokit finds it for
    the released networks on 100 test runs of its own.

    - `folder`: of the released code; what `released_folder` says by default.
    """
    folder = released_folder() if folder is None else folder
    closure, scaling = released_closure(folder)
    test = TestSet(closure, predator_prey(trajectories=1).test)
    rows = []
    for loss, column in PUBLISHED["predator-prey"].items():
        for forces, (mean, spread) in column.items():
            models = [
                released_model(folder / place / "convergence_final.pt", scaling)
                for place in _places(loss, forces)
            ]
            errors = test_errors(stack(models), test)
            rows.append(
                {
                    "loss": loss,
                    "forces": forces,
                    "published": mean,
                    "published_std": spread,
                    "errors": errors.tolist(),
                }
            )
    return rows


def released_table(rows: list[dict[str, Any]]) -> str:
    """`released_errors` as text."""
    lines = ["     loss     forces   published     found   ratio"]
    for row in rows:
        found = float(np.mean(row["errors"]))
        lines.append(
            f"{row['loss']:>9}  {row['forces']:9,}   {row['published']:.2e}  {found:.2e}"
            f"{found / row['published']:8.3f}"
        )
    return "\n".join(lines)


def _places(loss: str, forces: int) -> list[str]:
    """The folders of the three seeds of an entry."""
    if loss == "L_z":
        return [_FULL.format(snapshots=forces // 100, seed=seed) for seed in _SEEDS]
    drawn = next(n for n in (100, 75, 50, 25, 20) if Cell("lifted", n / 100, forces).loss == loss)
    return [_PARTIAL.format(snapshots=forces // drawn, seed=s, drawn=drawn) for s in _SEEDS]


def _filled(net: eqx.nn.MLP, layers: list[Module]) -> eqx.nn.MLP:
    """The network with the weights of the file; raises `ValueError` for other shapes."""
    new = [jnp.asarray(layer[part]) for layer in layers for part in ("weight", "bias")]
    shapes = [a.shape for a in _weights(net)]
    if [a.shape for a in new] != shapes:
        raise ValueError(f"Expected layers of {shapes}, but the file has {[a.shape for a in new]}.")
    return eqx.tree_at(_weights, net, new)


def _weights(net: eqx.nn.MLP) -> list[Any]:
    return [part for layer in net.layers for part in (layer.weight, layer.bias)]
