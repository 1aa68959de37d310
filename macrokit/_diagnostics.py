"""Numbers that judge a closure and a field without a roll-out."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._closure import Closure, together
from ._sampling import sample
from ._types import AnyArray
from .estimators import Labels
from .systems import AbstractSystem


def lift_defect(
    system: AbstractSystem, closure: Closure, x: Float[AnyArray, "snapshots sites channels"]
) -> Float[Array, ""]:
    """η = Σ|f_⊥|² / Σ|f|², f_⊥ = (1 − J†J) f: the part of the force that no lift can predict.

    Costs the force on every site of every state in `x`. Small η means that lifted partial forces
    are much less noisy than a plain weighted sum of them; neither the reconstruction error nor
    κ(M) shows it.
    """
    everywhere = sample(system, x, key=jax.random.key(0))
    return _lift_defect(closure, everywhere.x, everywhere.force)


@eqx.filter_jit
def _lift_defect(closure: Closure, x: Array, force: Array) -> Float[Array, ""]:
    def one(x: Array, f: Array) -> tuple[Array, Array]:
        outside = closure.residual(x, f, closure.velocity(x, f))
        return (outside**2).sum(), (f**2).sum()

    size = together(len(x), x[0].size)
    perpendicular, total = jax.lax.map(lambda a: one(*a), (x, force), batch_size=size)
    return perpendicular.sum() / total.sum()


@eqx.filter_jit
def _field_errors(models: eqx.Module, labels: Labels) -> Array:
    def one(model: eqx.Module) -> Array:
        g = jax.vmap(model)(labels.z)
        # Weighed by W both above and below, which cancels.
        away = jnp.einsum("nij,nj->ni", labels.S, g) - labels.b
        return (away**2).mean(axis=0) / labels.b.var(axis=0)

    return eqx.filter_vmap(one)(models)


def field_error(models: eqx.Module, labels: Labels) -> Float[np.ndarray, "members d"]:
    """mean |yₖ − gₖ|² / Var(yₖ) of each member and macroscopic variable on held-out states.

    - `models`: an ensemble. - `labels`: from `Exact()` on states that nothing was trained on; every
      estimator is judged on the same ones, since losses of different estimators are not comparable.
    """
    return np.asarray(_field_errors(models, labels))
