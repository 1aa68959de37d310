"""Numbers that judge a closure and a field, against dense matrices and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import CLOSURES, SYSTEMS, Heat, LinearField, Ring, closure, states

import macrokit as mk
from macrokit.estimators import Labels

RING = Ring()


@pytest.mark.parametrize("kind", CLOSURES)
def test_lift_defect_against_dense_matrices(kind: str, double) -> None:
    """η = Σ|(1 − J†J) f|² / Σ|f|²."""
    phi, x = closure(RING, kind), states(RING, 4)

    @jax.jit
    def dense(x: jax.Array) -> tuple:
        f = RING.force(x).reshape(-1)
        rows = jax.jacrev(phi.encode)(x).reshape(4, -1)
        outside = f - jnp.linalg.pinv(rows) @ (rows @ f)
        return outside @ outside, f @ f

    outside, whole = (np.sum(a) for a in zip(*(dense(a) for a in x), strict=True))
    eta = mk.lift_defect(RING, phi, x)
    np.testing.assert_allclose(eta, outside / whole, rtol=1e-9)
    assert 0.1 < eta < 1


def test_lift_defect_at_its_ends() -> None:
    """None where the force lies in the rows of J, all of it where it is orthogonal to them."""
    system, phi = Heat(), Heat().closure()
    inside, outside = system.modes(), np.cos(3 * 2 * np.pi * np.arange(16) / 16)[None]
    for x, eta in ((inside, 0), (outside, 1), (inside[:1] + outside, None)):
        found = mk.lift_defect(system, phi, jnp.asarray(x[..., None], jnp.float32))
        if eta is None:  # two waves, weighted by the squares of their rates
            slow, fast = (np.sin(np.pi * k / 16) ** 4 for k in (1, 3))
            eta = fast / (slow + fast)
        np.testing.assert_allclose(found, eta, atol=1e-5)


def test_lift_defect_of_a_host_system() -> None:
    ours, host = SYSTEMS["predator-prey"](), SYSTEMS["host"]()
    x, phi = states(ours, 4), closure(ours)
    eta = mk.lift_defect(ours, phi, x)
    np.testing.assert_allclose(mk.lift_defect(host, phi, np.asarray(x)), eta, rtol=1e-4)


def test_field_error_by_hand() -> None:
    """mean |y − g|² / Var(y), per member and variable."""
    z = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0], [-1.0, 3.0]], np.float32)
    y = np.array([[1.0, 1.0], [0.0, -1.0], [3.0, 2.0], [0.0, 0.0]], np.float32)
    labels = Labels(
        jnp.asarray(z),
        jnp.tile(jnp.diag(jnp.asarray([1.0, 9.0]))[None], (4, 1, 1)),  # S = W, which cancels
        jnp.asarray(y * [1, 9], jnp.float32),
        jnp.zeros(4),
        jnp.asarray(4),
    )
    weights = [np.eye(2), np.array([[1.0, 0.5], [-0.5, 1.0]])]
    models = mk.stack([LinearField(jnp.asarray(w, jnp.float32), 2) for w in weights])
    errors = mk.field_error(models, labels)
    expected = [((z @ w.T - y) ** 2).mean(axis=0) / y.var(axis=0) for w in weights]
    np.testing.assert_allclose(errors, expected, rtol=1e-5)
