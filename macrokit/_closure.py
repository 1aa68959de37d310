"""The closure: macroscopic variables z = φ(x) that close the dynamics of the observables."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float

from ._types import AnyArray, Jacobian, Key, Macro, Sites, State


class Encoder(eqx.Module):
    """ẑ = k(W x + b): a linear first layer, and a head k behind it (the identity, or a network).

    That the first layer is linear is what lets the Jacobian be written k′(h) W, so that M = J Jᵀ
    needs W Wᵀ and no (d, N) matrix.
    """

    weight: Float[Array, "hidden N"]
    bias: Float[Array, " hidden"]
    head: Callable[[Float[Array, " hidden"]], Float[Array, " learned"]]

    def __call__(self, x: State) -> Float[Array, " learned"]:
        return self.head(self.hidden(x))

    def hidden(self, x: State) -> Float[Array, " hidden"]:
        return self.weight @ x.reshape(-1) + self.bias

    def head_jacobian(self, x: State) -> Float[Array, "learned hidden"]:
        """k′(h) at h = W x + b."""
        return jax.jacrev(self.head)(self.hidden(x))


class Decoder(eqx.Module):
    """ψ(z) = m + s ⊙ net((z − μ)/σ); only used to train the encoder.

    - `unseen`: how many variables, the first, the network is not told.
    """

    net: Callable[[Macro], Float[Array, " N"]]
    centre: Float[Array, " d"]
    spread: Float[Array, " d"]
    state_centre: Float[Array, " N"]
    state_spread: Float[Array, " N"]
    unseen: int = eqx.field(static=True, default=0)

    def __call__(self, z: Macro) -> Float[Array, " N"]:
        # The standardisation is data, not a parameter.
        centre, spread, state_centre, state_spread = jax.lax.stop_gradient(
            (self.centre, self.spread, self.state_centre, self.state_spread)
        )
        seen = ((z - centre) / spread)[self.unseen :]
        return state_centre + state_spread * self.net(seen)


class Identity(eqx.Module):
    """k(h) = h, the head of a linear encoder."""

    def __call__(self, h: Array) -> Array:
        return h


class Head(eqx.Module):
    """k(h) = net(softplus(h)): the layers behind the first one."""

    net: eqx.nn.MLP

    def __call__(self, h: Array) -> Array:
        return self.net(jax.nn.softplus(h))


class Closure(eqx.Module):
    """z = φ(x) = (z*, ẑ), the observables and the learned variables that close their dynamics.

    - `observable`: z* = φ*(x), a function of one state; it has no parameters.
    - `encoder`: ẑ = φ̂(x).
    - `decoder`: ψ(z) ≈ x.

    Source: Chen & Li 2024, section 3.1.
    """

    observable: Callable[[State], Float[Array, " observables"]]
    encoder: Encoder
    decoder: Decoder

    def encode(self, x: State) -> Macro:
        """z = (z*, ẑ)."""
        return jnp.concatenate([self.observable(x), self.encoder(x)])

    def decode(self, z: Macro) -> Float[Array, " N"]:
        """ψ(z), the state as one vector of N = sites · channels numbers."""
        return self.decoder(z)

    def jacobian(self, x: State) -> Jacobian:
        """J = φ′(x) of shape (d, sites, channels), learned rows as k′(h) W."""
        learned = self.encoder.head_jacobian(x) @ self.encoder.weight
        return jnp.concatenate([self.observable_jacobian(x), learned.reshape(-1, *x.shape)])

    def jacobian_at(self, x: State, sites: Sites) -> Float[Array, "d drawn channels"]:
        """The columns of J that belong to `sites`; of the learned rows no others are formed."""
        weight = self.encoder.weight.reshape(-1, *x.shape)[:, sites]
        learned = jnp.einsum("dh,hnc->dnc", self.encoder.head_jacobian(x), weight)
        return jnp.concatenate([self.observable_jacobian(x)[:, sites], learned])

    def gram(self, x: State) -> Float[Array, "d d"]:
        """M = J Jᵀ from W Wᵀ, W ∇z* and ∇z*·∇z*; the learned rows of J are never formed."""
        gradients = self.observable_jacobian(x)
        gradients = gradients.reshape(len(gradients), -1)
        head, weight = self.encoder.head_jacobian(x), self.encoder.weight
        cross = (head @ (weight @ gradients.T)).T
        return jnp.block(
            [[gradients @ gradients.T, cross], [cross.T, head @ (weight @ weight.T) @ head.T]]
        )

    def lift(self, x: State) -> Jacobian:
        """Aᵀ = M⁻¹ J of shape (d, sites, channels); A = J† maps dz/dt back to dx/dt."""
        jacobian = self.jacobian(x)
        rows = jacobian.reshape(len(jacobian), -1)
        return jsl.cho_solve((jnp.linalg.cholesky(rows @ rows.T), True), rows).reshape(
            jacobian.shape
        )

    def velocity(self, x: State, force: State) -> Macro:
        """y = J f, the macroscopic velocity that the force on all sites makes."""
        return jnp.einsum("dnc,nc->d", self.jacobian(x), force)

    def residual(self, x: State, force: State, g: Macro) -> State:
        """f − A g, what the lift of the velocity g leaves of the force; for g = J f it is f_⊥."""
        return force - jnp.einsum("dnc,d->nc", self.lift(x), g)

    def site_norms(self, x: State) -> Float[Array, " sites"]:
        """|Jᵢ|, how much the macroscopic variables depend on each site."""
        return jnp.sqrt((self.jacobian(x) ** 2).sum(axis=(0, 2)))

    def condition(
        self,
        x: State,
        norms: Float[Array, " observables"] | None = None,
        *,
        learned_only: bool = False,
    ) -> Float[Array, ""]:
        """κ(M) = λ_max/λ_min of M = J Jᵀ.

        - `norms`: units in which the observables are measured, their root mean square kept; see
          `gradient_norms`. - `learned_only`: leave the rows of the observables out.
        """
        gram = self.gram(x)
        if learned_only:
            first = len(self.observable(x))
            gram = gram[first:, first:]
        elif norms is not None:
            factor = root_mean_square(norms) / norms
            factor = jnp.concatenate([factor, jnp.ones(len(gram) - len(norms))])
            gram = gram * factor[:, None] * factor[None]
        eigenvalues = jnp.linalg.eigvalsh(gram)
        return eigenvalues[-1] / eigenvalues[0]

    def observable_jacobian(self, x: State) -> Jacobian:
        """∇z*, the rows of J that belong to the observables."""
        return jax.jacrev(self.observable)(x)


@eqx.filter_jit
def encode_states(
    closure: Closure, x: Float[Array, "snapshots sites channels"]
) -> Float[Array, "snapshots d"]:
    """z of many states, in blocks."""
    return jax.lax.map(lambda x: closure.encode(x), x, batch_size=together(len(x), x[0].size))


def together(count: int, numbers: int) -> int | None:
    """The `batch_size` of a `lax.map` over `count` snapshots of so many `numbers` each: up to 256,
    as many as stay in a core's cache. Large ones are taken one by one (None): that is faster, and
    batches of large factorisations have been seen to block each other on a CPU for ever."""
    fitting = (1 << 16) // numbers
    return min(count, 256, fitting) if fitting > 8 else None


def linear_closure(
    observable: Callable,
    states: Float[AnyArray, "snapshots sites channels"],
    learned: int,
    *,
    key: Key,
) -> Closure:
    """A linear closure started at principal components: ẑ = W(x − m).

    The rows of W are the leading principal directions of the states after the gradients of the
    observables (taken at the mean state) have been projected out, scaled to the root mean square
    norm of those gradients over the states. With linear observables whose gradients are orthogonal
    and of equal norm, κ(M) = 1 exactly.

    - `states`: snapshots to take mean and spreads from; principal directions are those of the first
      2,000 (of large states 500), so mix them (`spread`).
    - `learned`: number of learned variables.
    - `key`: for the decoder's initial weights.

    Raises `ValueError` when the states vary in fewer directions.
    """
    flat, mean, spread = _statistics(states)
    gradients = _gradients_at(observable, mean.reshape(states.shape[1:]))
    some = flat[: 2000 if flat.shape[1] < 2000 else 500]  # of large states fewer, for memory
    rows = principal_directions(some - mean, gradients, learned)
    rows *= float(root_mean_square(gradient_norms(observable, states)))
    encoder = Encoder(jnp.asarray(rows), jnp.asarray(-rows @ mean), Identity())
    return _with_decoder(observable, encoder, states, mean, spread, key)


def nonlinear_closure(
    observable: Callable,
    states: Float[AnyArray, "snapshots sites channels"],
    learned: int,
    width: int = 32,
    *,
    standardise: bool = True,
    blind: bool = False,
    key: Key,
) -> Closure:
    """The paper's closure: N-`width`-`width`-`learned` softplus encoder, and a mirrored decoder.

    - `standardise`: centre and scale the inputs of the encoder and the outputs of the decoder.
      The released code does not: `False` for parity.
    - `blind`: do not tell the decoder the observables, as the released code of the larger systems.
    """
    encoder_key, head_key, decoder_key = jax.random.split(key, 3)
    flat, mean, spread = _statistics(states)
    # One spread for all coordinates where a coordinate barely moves, so that 1/spread stays tame.
    spread = np.maximum(spread, 1e-3 * spread.max())
    if not standardise:
        mean, spread = np.zeros_like(mean), np.ones_like(spread)
    weight = jax.nn.initializers.glorot_normal()(encoder_key, (width, flat.shape[1])) / spread[None]
    encoder = Encoder(weight, -weight @ mean, Head(_network(width, learned, width, 1, head_key)))
    if standardise:
        encoder = _matched(encoder, observable, states)
    told = learned if blind else None
    settings = {"width": width, "standardise": standardise, "told": told}
    return _with_decoder(observable, encoder, states, mean, spread, decoder_key, **settings)


def _matched(encoder: Encoder, observable: Callable, states: AnyArray) -> Encoder:
    """The encoder with its last layer scaled so that its gradients are as long as the observables'.

    Otherwise κ(M) starts at 10⁴ and its square fills Adam's memory of gradients for good.
    """
    x = jnp.asarray(states).mean(axis=0)
    own = np.asarray(encoder.head_jacobian(x) @ encoder.weight)
    norms = np.linalg.norm(own, axis=1)
    scale = root_mean_square(gradient_norms(observable, states)) / root_mean_square(norms)
    last = encoder.head.net.layers[-1]
    return eqx.tree_at(lambda e: e.head.net.layers[-1].weight, encoder, last.weight * scale)


def principal_directions(
    centred: Float[np.ndarray, "snapshots N"],
    gradients: Float[np.ndarray, "observables N"],
    count: int,
) -> Float[np.ndarray, "count N"]:
    """Leading principal directions orthogonal to `gradients`, each of norm 1.

    The sign, which is the machine's with LAPACK, is that in which the farthest state is ahead.
    Raises `ValueError` when there are fewer directions in which the states vary.
    """
    basis = np.linalg.qr(gradients.T)[0]
    rest = (centred @ basis) @ basis.T
    np.subtract(centred, rest, out=rest)  # all states of a large system: no third copy
    if len(rest) >= rest.shape[1]:
        _, lengths, rows = np.linalg.svd(rest, full_matrices=False)
    else:  # of few states with many coordinates: from the products of the states with each other
        values, vectors = np.linalg.eigh(rest @ rest.T)
        lengths = np.sqrt(np.maximum(values[::-1], 0))
        rows = vectors[:, : -count - 1 : -1].T @ rest
        rows /= np.maximum(lengths[: len(rows), None], np.finfo(rows.dtype).tiny)
    # One each is taken by the mean and by every observable.
    most = min(len(centred) - 1, centred.shape[1] - len(gradients))
    varying = min(most, int((lengths > np.finfo(rest.dtype).eps * lengths[0]).sum()))
    if not 0 < count <= varying:
        raise ValueError(
            f"The states vary in {varying} directions beside the observables, but {count} learned "
            "variables were asked for. Take more states or fewer variables."
        )
    rows = rows[:count]
    ahead = rest @ rows.T
    farthest = np.abs(ahead).argmax(axis=0)
    rows[ahead[farthest, np.arange(len(rows))] < 0] *= -1
    return rows


def gradient_norms(
    observable: Callable, states: Float[AnyArray, "snapshots sites channels"]
) -> Float[np.ndarray, " observables"]:
    """Root mean square of |∇z*| of each observable over (at most 200 of) the states."""
    x = jnp.asarray(states)[:: -(-len(states) // 200)]
    return np.asarray(jnp.sqrt(_squared_norms(observable, x).mean(axis=0)))


@eqx.filter_jit
def _squared_norms(observable: Callable, x: Array) -> Array:
    return jax.lax.map(lambda x: (jax.jacrev(observable)(x) ** 2).sum(axis=(1, 2)), x)


def root_mean_square(values: Float[AnyArray, " n"]) -> Float[Array, ""]:
    return jnp.sqrt((jnp.asarray(values) ** 2).mean())


def orthonormalise(
    closure: Closure, gradients: Float[Array, "observables N"], scale: Float[Array, ""]
) -> Closure:
    """The closure with its linear rows made orthogonal to `gradients` and to each other, each of
    norm s = `scale`: rows = s L⁻¹ V, L Lᵀ = V Vᵀ. Idempotent."""
    weight = closure.encoder.weight
    basis = jnp.linalg.qr(gradients.T)[0]
    rest = weight - (weight @ basis) @ basis.T
    rows = scale * jsl.solve_triangular(jnp.linalg.cholesky(rest @ rest.T), rest, lower=True)
    return eqx.tree_at(lambda c: c.encoder.weight, closure, rows)


def _statistics(states: AnyArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    flat = np.asarray(states).reshape(len(states), -1)
    return flat, flat.mean(axis=0), flat.std(axis=0)


def _gradients_at(observable: Callable, x: AnyArray) -> np.ndarray:
    jacobian = jax.jacrev(observable)(jnp.asarray(x))
    return np.asarray(jacobian).reshape(len(jacobian), -1)


def _with_decoder(
    observable: Callable,
    encoder: Encoder,
    states: AnyArray,
    mean: np.ndarray,
    spread: np.ndarray,
    key: Key,
    *,
    width: int = 32,
    standardise: bool = True,
    told: int | None = None,
) -> Closure:
    z = _encode_all(observable, encoder, jnp.asarray(states))
    d, n = z.shape[1], mean.size
    centre, z_spread = z.mean(axis=0), z.std(axis=0)
    if not standardise:
        centre, z_spread = jnp.zeros(d), jnp.ones(d)
    told = d if told is None else told  # the last variables
    network = _network(told, n, width, 2, key)
    decoder = Decoder(network, centre, z_spread, jnp.asarray(mean), jnp.asarray(spread), d - told)
    return Closure(observable, encoder, decoder)


@eqx.filter_jit
def _encode_all(observable: Callable, encoder: Encoder, states: Array) -> Array:
    def encode(x: Array) -> Array:
        return jnp.concatenate([observable(x), encoder(x)])

    return jax.lax.map(encode, states, batch_size=together(len(states), states[0].size))


@eqx.filter_jit  # one compilation, not one for each weight
def _network(inputs: int, outputs: int, width: int, depth: int, key: Key) -> eqx.nn.MLP:
    """A softplus network with Xavier weights and zero biases, as the released code starts it."""
    net = eqx.nn.MLP(inputs, outputs, width, depth, jax.nn.softplus, key=key)
    keys = jax.random.split(key, len(net.layers))
    initial = jax.nn.initializers.glorot_normal()
    weights = [initial(k, layer.weight.shape) for layer, k in zip(net.layers, keys, strict=True)]
    biases = [jnp.zeros_like(layer.bias) for layer in net.layers]
    return eqx.tree_at(
        lambda n: [layer.weight for layer in n.layers] + [layer.bias for layer in n.layers],
        net,
        weights + biases,
    )
