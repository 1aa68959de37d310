import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import Key, Macro
from ._abstract import AbstractMacro, Guarantee, check_positive, cosine, ratio


class GFINN(AbstractMacro):
    """G(z) = L(z)∇E(z) + M(z)∇S(z),   L = −Lᵀ,   M ⪰ 0,   L∇S = 0,   M∇E = 0,

    so that energy is conserved, dE/dt = ∇EᵀL∇E + (M∇E)ᵀ∇S = 0, and entropy never falls,
    dS/dt = ∇SᵀM∇S ≥ 0, for any parameters and any z:

        L = Qₛᵀ (B − Bᵀ) Qₛ,   row k of Qₛ is Aₖ∇S,    Aₖ antisymmetric, so Qₛ∇S = 0,
        M = Qₑᵀ C Cᵀ Qₑ,       row k of Qₑ is A′ₖ∇E,   A′ₖ antisymmetric, so Qₑ∇E = 0.

    E = β|z|² + e·z + a tanh network, S = s·z + a tanh network. The linear parts keep both gradients
    from vanishing, with which G would vanish too. A tanh network is bounded, so the sets of equal E
    are: where the scaling keeps dE/dt = 0, no trajectory goes to infinity. A third tanh network
    gives B and C at z.

    - `dim`: d. - `width`, `depth`: hidden units, hidden layers of each of the three networks.
    - `rank`: number of rows of Qₛ and of Qₑ. L and M have at most this rank: with d rows they can
      be any that satisfy the conditions, with d/2 they reach all directions together. The network's
      output grows with its square, hence at most 16 by default.
    - `beta`: β > 0.

    Source: Zhang, Shin & Karniadakis 2022. Raises `ValueError` for one variable or no rows.
    """

    energy_net: eqx.nn.MLP
    entropy_net: eqx.nn.MLP
    matrix_net: eqx.nn.MLP
    slopes: Float[Array, "2 d"]
    annihilators: Float[Array, "2 rank d d"]
    beta: float
    dim: int

    def __init__(
        self,
        dim: int,
        width: int = 32,
        depth: int = 3,
        *,
        rank: int | None = None,
        beta: float = 0.1,
        key: Key,
    ):
        rank = min(dim, 16) if rank is None else rank
        if dim < 2 or rank < 1:
            raise ValueError(
                "GFINN needs at least 2 macroscopic variables (one alone cannot move at constant "
                f"energy) and a rank of at least 1, but got dim={dim} and rank={rank}. "
                "Use an OnsagerNet or an MLP for one variable."
            )
        *net_keys, slope_key, matrix_key = jax.random.split(key, 5)
        check_positive(beta=beta)
        self.dim = dim
        self.beta = beta
        self.energy_net, self.entropy_net, self.matrix_net = (
            eqx.nn.MLP(dim, outputs, width, depth, jax.nn.tanh, key=net_key)
            for outputs, net_key in zip(("scalar", "scalar", 2 * rank**2), net_keys, strict=True)
        )
        # Gradients have a length of about one, so entries of variance 1/rank keep sums over rows
        # from growing with their number: G starts at 0.3 to 1 for d from 8 to 32. Larger entries
        # hardly move in training, and fit worse.
        self.slopes = jax.random.normal(slope_key, (2, dim)) / np.sqrt(dim)
        shape = (2, rank, dim, dim)
        self.annihilators = jax.random.normal(matrix_key, shape) / np.sqrt(rank)

    def energy(self, z: Macro) -> Float[Array, ""]:
        """E(z)."""
        return self.beta * z @ z + self.slopes[0] @ z + self.energy_net(z)

    def entropy(self, z: Macro) -> Float[Array, ""]:
        """S(z)."""
        return self.slopes[1] @ z + self.entropy_net(z)

    def matrices(self, z: Macro) -> tuple[Float[Array, "d d"], Float[Array, "d d"]]:
        """L(z) = −Lᵀ and M(z) ⪰ 0."""
        *_, Q_E, Q_S, B, C = self._parts(z)
        root = C.T @ Q_E
        return Q_S.T @ (B - B.T) @ Q_S, root.T @ root

    def __call__(self, z: Macro) -> Macro:
        dE, dS, Q_E, Q_S, B, C = self._parts(z)
        along, across = Q_S @ dE, Q_E @ dS
        return (B @ along - along @ B) @ Q_S + (C @ (across @ C)) @ Q_E

    def _parts(self, z: Macro) -> tuple[Array, ...]:
        """∇E, ∇S, Qₑ, Qₛ, B and C."""
        gradients = jnp.stack([jax.grad(self.energy)(z), jax.grad(self.entropy)(z)])
        antisymmetric = self.annihilators - jnp.swapaxes(self.annihilators, 2, 3)
        rows = jnp.einsum("ekij,ej->eki", antisymmetric, gradients)
        rank = rows.shape[1]
        return *gradients, *rows, *self.matrix_net(z).reshape(2, rank, rank)

    def guarantee(self) -> Guarantee:
        return Guarantee(True, "energy is conserved, dE/dt = 0, and entropy never falls, dS/dt ≥ 0")

    def violations(self, z: Macro, rate: Macro) -> dict[str, Float[Array, ""]]:
        """|dE/dt|/(|∇E||ż|), −dS/dt/(|∇S||ż|) and the larger of |L∇S|/(|L||∇S|) and
        |M∇E|/(|M||∇E|)."""
        dE, dS, *_ = self._parts(z)
        L, M = self.matrices(z)
        return {
            "energy": jnp.abs(cosine(dE, rate)),
            "entropy": -cosine(dS, rate),
            "degeneracy": jnp.maximum(_stretch(L, dS), _stretch(M, dE)),
        }


def _stretch(matrix: Float[Array, "d d"], v: Macro) -> Float[Array, ""]:
    """|A v|/(|A||v|)."""
    norm = jnp.linalg.norm
    return ratio(norm(matrix @ v), norm(matrix) * norm(v))
