"""Training the closure: reconstruction, condition number, lift penalty. Needs no force at all."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import tqdm
from jaxtyping import Array, Float

from ._closure import Closure, Identity, gradient_norms, orthonormalise, root_mean_square
from ._memory import trim_memory
from ._optimiser import Cosine, start
from ._training import Progress, iterate
from ._types import AnyArray, Key


class ClosureLoss(eqx.Module):
    """L = |x − ψ(φ(x))|² / Var x + λ |κ(M) − 1|² + μ |(1 − J†J) ψ′(z) v|² / Var x + ½ ρ |w|²,

    averaged over a batch, v = σ_z ⊙ ε with ε Gaussian, w all weights. For κ each observable is
    measured in units of the root mean square norm of its gradient, so that no unit of an energy
    decides it. The third term is the *lift penalty*: it asks that the decoder's tangents lie in the
    row space of J, which is what lifting assumes. It needs no force. It helps where the states fill
    the space of z, as in predator–prey, and harms where they do not: Lennard-Jones runs that one
    temperature tells apart are a surface in 32 variables, and off it a decoder's tangents mean
    nothing.

    - `condition`: λ, weight of the condition number (`0.0` leaves its computation out).
    - `learned_only`: take κ of the learned rows of J alone.
    - `lift`: μ, weight of the lift penalty (`0.0` leaves its computation out).
    - `weight_decay`: ρ, as Adam has it in PyTorch. Directions that the states do not have make no
      difference to the reconstruction; this takes them out of an encoder, as lifting assumes.
    - `absolute`: leave out the division by Var x, as the released code does.
    - `orthonormal`: keep the rows of a linear encoder orthonormal, to each other and to the
      observables' gradients, so that κ = 1 by construction; a network is left as it is.
    - `frozen`: leave the encoder as it is and train the decoder alone.
    - `batch`: states per step.

    Source: Chen & Li 2024, eq. 8, for the first two terms.
    """

    condition: float = 0.0
    learned_only: bool = False
    lift: float = 0.1
    weight_decay: float = 0.0
    absolute: bool = False
    orthonormal: bool = True
    frozen: bool = False
    batch: int = 256

    def __call__(
        self, parameters: Closure, data: "ClosureData", key: Key
    ) -> tuple[Any, Float[Array, ""]]:
        loss, gradient = eqx.filter_value_and_grad(self._loss)(parameters, data, key)
        return gradient, loss

    def closure(self, parameters: Closure, data: "ClosureData") -> Closure:
        """The closure that the free parameters stand for."""
        closure = eqx.tree_at(_observable, parameters, data.observable, is_leaf=_is_none)
        linear = isinstance(closure.encoder.head, Identity)
        return (
            orthonormalise(closure, data.gradients, data.scale)
            if self.orthonormal and linear
            else closure
        )

    def _loss(self, parameters: Closure, data: "ClosureData", key: Key) -> Float[Array, ""]:
        closure = self.closure(parameters, data)
        if self.frozen:
            encoder = jax.tree.map(
                lambda a: jax.lax.stop_gradient(a) if eqx.is_array(a) else a, closure.encoder
            )
            closure = eqx.tree_at(lambda c: c.encoder, closure, encoder)
        index_key, tangent_key = jax.random.split(key)
        index = jax.random.randint(index_key, (self.batch,), 0, len(data.states))
        x = data.states[index]
        z = jax.vmap(closure.encode)(x)
        decoded = jax.vmap(closure.decode)(z)
        unit = 1.0 if self.absolute else data.variance
        loss = jnp.mean((x.reshape(self.batch, -1) - decoded) ** 2) / unit
        if self.condition:
            condition = jax.vmap(
                lambda x: closure.condition(x, data.norms, learned_only=self.learned_only)
            )(x)
            loss += self.condition * jnp.mean((condition - 1) ** 2)
        if self.lift:
            # The spread that z has now: a network may have moved far from the one it began with.
            spread = jax.lax.stop_gradient(z.std(axis=0))
            tangents = jax.random.normal(tangent_key, z.shape) * spread[None]
            outside = jax.vmap(functools.partial(_outside_rows, closure))(x, z, tangents)
            loss += self.lift * jnp.mean(outside**2) / unit
        if self.weight_decay:
            weights = eqx.filter((closure.encoder, closure.decoder.net), eqx.is_inexact_array)
            loss += self.weight_decay / 2 * sum(jnp.sum(w**2) for w in jax.tree.leaves(weights))
        return loss


@dataclasses.dataclass(frozen=True)
class ClosureProgress:
    """One report of a closure in training: the usable `closure`, and the loop's own `progress`."""

    closure: Closure
    progress: Progress


class ClosureData(eqx.Module):
    """States to learn from, their variance, and the observables' gradients at the mean state.

    - `norms`: root mean square of |∇z*| of each observable over the states.

    The observable is here and not among what is trained: it may hold numbers of its system, which
    must stay as they are.
    """

    observable: Callable
    states: Float[Array, "snapshots sites channels"]
    variance: Float[Array, ""]
    gradients: Float[Array, "observables N"]
    norms: Float[Array, " observables"]

    def __init__(self, observable: Callable, states: AnyArray):
        self.observable = observable
        self.states = jnp.asarray(states)
        self.variance = jnp.var(self.states, axis=0).mean()
        jacobian = jax.jacrev(observable)(self.states.mean(axis=0))
        self.gradients = jacobian.reshape(len(jacobian), -1)
        self.norms = jnp.asarray(gradient_norms(observable, self.states))

    @property
    def scale(self) -> Float[Array, ""]:
        """The norm that learned rows are given: that of the observables' gradients."""
        return root_mean_square(self.norms)


def _observable(closure: Closure) -> Any:
    return closure.observable


def _is_none(node: Any) -> bool:
    return node is None


def _outside_rows(closure: Closure, x: Array, z: Array, v: Array) -> Float[Array, " N"]:
    """(1 − J†J) ψ′(z) v, by one JVP and one VJP of the encoder."""
    tangent = jax.jvp(closure.decode, (z,), (v,))[1]
    _, pushed = jax.jvp(closure.encode, (x,), (tangent.reshape(x.shape),))
    factor = jnp.linalg.cholesky(closure.gram(x))
    _, pull = jax.vjp(closure.encode, x)
    (inside,) = pull(jsl.cho_solve((factor, True), pushed))
    return tangent - inside.reshape(-1)


def train_closure(
    closure: Closure,
    states: Float[AnyArray, "snapshots sites channels"],
    *,
    loss: ClosureLoss | None = None,
    steps: int = 20_000,
    learning_rate: float = 2e-3,
    constant: bool = False,
    optimiser: str = "adam",
    every: int = 500,
    key: Key,
) -> Iterator["ClosureProgress"]:
    """Train a closure on states alone, yielding a `ClosureProgress` every `every` steps.

    - `closure`: where to start, from `linear_closure` or `nonlinear_closure`.
    - `states`: snapshots. - `learning_rate`: peak of a cosine schedule over `steps`, or its
      `constant` value. - `optimiser`: as in `start`.

    `progress.closure` is usable at any time.
    """
    loss = ClosureLoss() if loss is None else loss
    data = ClosureData(closure.observable, states)
    schedule = Cosine(learning_rate, steps, floor=1.0 if constant else 1e-3)
    parameters = eqx.tree_at(_observable, closure, None)
    state = start(parameters, schedule, key=key, optimiser=optimiser)
    for progress in iterate(loss, state, data, steps=steps, every=every):
        current = loss.closure(progress.state.model, data)
        yield ClosureProgress(current, progress)


def fit_closure(
    closure: Closure,
    states: Float[AnyArray, "snapshots sites channels"],
    *,
    loss: ClosureLoss | None = None,
    steps: int = 20_000,
    learning_rate: float = 2e-3,
    constant: bool = False,
    optimiser: str = "adam",
    progress: bool = True,
    key: Key,
) -> Closure:
    """`train_closure` to the end, with a progress bar."""
    settings = {"learning_rate": learning_rate, "constant": constant, "optimiser": optimiser}
    settings |= {"loss": loss, "steps": steps}
    with tqdm.tqdm(total=steps, disable=not (progress and steps), unit="step") as bar:
        for report in train_closure(closure, states, **settings, key=key):
            closure = report.closure
            bar.update(report.progress.step - bar.n)
    trim_memory()
    return closure
