"""The report on structure and stability: residuals of the scaled field, and roll-outs whose way is
known."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import MACROS, LinearField, random_weights

import macrokit as mk
from macrokit.macro import Affine, Structured

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(300, 3))
TIMES = np.linspace(0, 1, 101)
ONE = np.ones(3)


def scaled(field, kind: type = Structured, *, spread=ONE, rate=ONE, shift=0 * ONE) -> mk.MacroModel:
    """With spread and rate one and no shift, g = G."""
    return mk.MacroModel(field, kind(*map(jnp.asarray, (0 * ONE, spread, shift, rate))))


def linear(rate: float) -> mk.MacroModel:
    """dz/dt = (rate) z."""
    return scaled(LinearField(rate * jnp.eye(3), 3))


def network(name: str, kind: type = Structured, seed: int = 0) -> mk.MacroModel:
    """Random weights, and statistics that are not all the same."""
    field = random_weights(lambda: MACROS[name](3, key=jax.random.key(0)), seed=seed)
    uneven = {
        "spread": np.array([0.5, 1, 2]),
        "rate": np.array([2, 1, 0.5]),
    }
    return scaled(field, kind, **uneven, shift=ONE)


def report(model: mk.MacroModel, *, z=Z, starts=Z[:3], times=TIMES[::20]) -> mk.StructureReport:
    return mk.structure_report(model, z, starts, times)


# --- stability -----------------------------------------------------------------------------------

BOX = np.array([-ONE, ONE])  # widened by half its width: −2 … 2
STARTS = np.array([0.5, 0.25, 1.0])[:, None] * ONE[None]


def followed(model: mk.MacroModel, *, starts=STARTS, times=TIMES) -> mk.StructureReport:
    """Always in the same shapes, so that it is compiled once."""
    return report(model, z=BOX, starts=starts, times=times)


def test_a_decaying_field_stays() -> None:
    found = followed(linear(-1.0))
    assert found.diverged == {1: 0, 10: 0}
    assert found.trust == np.inf
    assert (found.residuals, found.shares) == ({}, {})
    assert not found.guaranteed
    assert found.guarantee == "no guarantee: the field has no structure"
    assert found.sentence == (
        "There is no structure to keep; no roll-out diverges within 10 training horizons."
    )


def test_a_growing_field_leaves_when_it_must() -> None:
    """z = z₀ eᵗ passes 2 at t = log(2/z₀), and 100 spreads at log(100/z₀) = 5.3, 6.0, 4.6."""
    found = followed(linear(1.0))
    assert found.trust == pytest.approx(np.log(2 / 0.5), abs=0.011)  # the median; frames of 0.01
    assert found.diverged == {1: 0, 10: 1}
    assert "100 % of the roll-outs diverge within 10 training horizons." in found.sentence

    found = followed(linear(1.0), times=5.5 * TIMES)
    assert found.diverged == {1: pytest.approx(2 / 3), 10: 1}
    assert found.horizon == 5.5
    assert "66.7 % of the roll-outs diverge within 1 training horizon." in found.sentence


def test_time_counts_from_the_first_frame() -> None:
    found = followed(linear(1.0), times=7 + TIMES)
    assert found.trust == pytest.approx(np.log(2 / 0.5), abs=0.011)


def test_leaving_the_box_is_not_diverging() -> None:
    """z = z₀ e^{t/5} passes 2 after 7 horizons and is far from 100 after ten."""
    found = followed(linear(0.2))
    assert found.trust == pytest.approx(5 * np.log(2 / 0.5), abs=0.011)
    assert found.diverged == {1: 0, 10: 0}
    assert found.sentence.endswith(
        "no roll-out diverges, but half of them leave the states seen within 6.9 training horizons."
    )


def test_what_is_driven_may_leave_the_box() -> None:
    """One variable decays; two that it drives grow steadily beyond 2, at a rate of one."""
    built = mk.macro.build("mlp", 3, 4, leading=1, key=jax.random.key(0))
    steady = jax.tree.map(lambda a: 0 * a if eqx.is_array(a) else a, built.follower)
    steady = eqx.tree_at(lambda net: net.layers[-1].bias, steady, jnp.ones(2))
    decaying = LinearField(-jnp.eye(1), 1)
    field = eqx.tree_at(lambda f: (f.field, f.follower), built, (decaying, steady))
    assert followed(scaled(field)).trust == np.inf
    assert followed(linear(0.2)).trust < np.inf


def test_what_the_solver_gives_up_has_diverged() -> None:
    """dz/dt = 10⁵ J z turns without growing, and takes more steps than the solver is given."""
    turning = LinearField(1e5 * jnp.asarray([[0.0, 1, 0], [-1, 0, 0], [0, 0, 0]]), 3)
    found = followed(scaled(turning))
    assert found.diverged == {1: 1, 10: 1}
    assert 0 < found.trust < 0.1


# --- structure -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["onsagernet", "gfinn"])
def test_a_guarantee_is_kept_by_one_scaling_only(name: str, double) -> None:
    kept = report(network(name))
    assert kept.guaranteed
    assert kept.guarantee.startswith("guarantee: ")
    assert all(value <= 1e-12 for value in kept.residuals.values())
    assert set(kept.shares.values()) == {0}
    assert kept.sentence.startswith("The structure is kept at every state, as it must be; ")

    lost = report(network(name, Affine))
    assert not lost.guaranteed
    expected = "no guarantee: the Affine scaling destroys what the field alone would keep ("
    assert lost.guarantee == expected + kept.guarantee.removeprefix("guarantee: ") + ")"
    broken = {"onsagernet": ["dissipation"], "gfinn": ["energy", "entropy"]}[name]
    assert [lost.residuals[key] > 0.1 for key in broken] == [True] * len(broken)
    assert [0 < lost.shares[key] <= 1 for key in broken] == [True] * len(broken)
    assert lost.sentence.startswith("The structure is lost: ")
    assert lost.residuals.get("degeneracy", 0) < 1e-12  # of the matrices, whatever the scaling


def test_a_forcing_has_no_guarantee() -> None:
    found = report(network("shared-onsagernet"))
    assert not found.guaranteed
    assert found.guarantee == "no guarantee: the forcing may raise the potential"
    assert found.residuals["dissipation"] > 0.01


def test_the_residual_is_the_largest_cosine(double) -> None:
    """dV/dt of V((z − μ)/σ) along g, over |∇V||u̇|, both in standardised units."""
    model = network("onsagernet", Affine)

    def cosine(z: jax.Array) -> jax.Array:
        scaling = model.scaling
        gradient = jax.grad(model.field.potential)((z - scaling.centre) / scaling.spread)
        rate = model(z) / scaling.spread
        return gradient @ rate / jnp.sqrt((gradient @ gradient) * (rate @ rate))

    cosines = np.asarray(jax.vmap(cosine)(jnp.asarray(Z)))
    found = report(model)
    assert found.residuals["dissipation"] == pytest.approx(cosines.max(), rel=1e-4)
    assert found.shares["dissipation"] == pytest.approx((cosines > 0).mean(), abs=1e-2)


class Faulty(mk.macro.AbstractMacro):
    """G(z) = −z, with a structure that is not a number anywhere."""

    dim: int = 3

    def __call__(self, z):
        return -z

    def violations(self, z, rate):
        return {"structure": 0 * z[0] / 0}


def test_what_is_not_a_number_is_not_kept() -> None:
    found = followed(scaled(Faulty()))
    assert np.isnan(found.residuals["structure"])
    assert found.shares == {"structure": 1}


# --- ensembles -----------------------------------------------------------------------------------


def test_an_ensemble_is_judged_by_its_worst_member() -> None:
    members = [network("onsagernet", Affine, seed) for seed in range(2)]
    alone = [report(member) for member in members]
    both = report(mk.stack(members))
    worst = max(one.residuals["dissipation"] for one in alone)
    assert both.residuals["dissipation"] == pytest.approx(worst, rel=1e-5)
    for key in ("shares", "diverged"):
        for name, share in getattr(both, key).items():
            mean = np.mean([getattr(one, key)[name] for one in alone])
            assert share == pytest.approx(mean, abs=1e-6)
    assert (both.states, both.runs, both.members) == (300, 3, 2)
    assert alone[0].members == 1


def test_the_trust_of_an_ensemble_is_over_all_its_roll_outs() -> None:
    """Passing 2 from 1: at log 2/rate."""
    members = mk.stack([linear(rate) for rate in (1.0, 0.5, -1.0)])
    found = followed(members, starts=STARTS[[2, 2, 2]])
    assert found.trust == pytest.approx(2 * np.log(2), abs=0.011)
    assert found.diverged == {1: 0, 10: pytest.approx(2 / 3)}


# --- what is said --------------------------------------------------------------------------------


FOUND = mk.StructureReport(
    guaranteed=False,
    guarantee="no guarantee: the Affine scaling destroys what the field alone would keep (x)",
    residuals={"energy": 0.123, "entropy": 0.0},
    shares={"energy": 0.25, "entropy": 0.0},
    diverged={1: 0.0, 10: 0.125},
    trust=69.2,
    horizon=30.0,
    states=500,
    runs=100,
    members=10,
)


def test_the_table() -> None:
    assert str(FOUND).splitlines() == [
        FOUND.guarantee,
        "residual         largest   violated at",
        "energy           1.2e-01          25 %",
        "entropy          0.0e+00           0 %",
        "500 states, 100 roll-outs of each of 10 networks, horizon 30",
        "diverged: 0 % within 1 training horizon, 12.5 % within 10 training horizons",
        "horizon of trust: 69.2, 2.3 training horizons",
        "The structure is lost: energy fails at 25 % of the states; "
        "12.5 % of the roll-outs diverge within 10 training horizons.",
    ]
    alone = dataclasses.replace(FOUND, residuals={}, shares={}, trust=np.inf, members=1)
    assert str(alone).splitlines()[1:4] == [
        "500 states, 100 roll-outs, horizon 30",
        "diverged: 0 % within 1 training horizon, 12.5 % within 10 training horizons",
        "horizon of trust: more than 10 training horizons",
    ]


def test_what_is_not_guaranteed_may_hold() -> None:
    held = dataclasses.replace(FOUND, shares={"energy": 0.0, "entropy": 0.0})
    assert held.sentence.startswith("Nothing is guaranteed, but the structure is kept at every ")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"z": Z[:, :2]}, r"z must have shape \(any number, 3\), .* but got \(300, 2\)\. Encode"),
        ({"starts": Z[0]}, r"starts must have shape \(any number, 3\), .* but got \(3,\)\. Encode"),
        ({"z": Z[:1]}, r"at least 2 states, .* and 1 start, but got 1 and 3\. Take the states"),
        ({"starts": Z[:0]}, r"at least 2 states, .* and 1 start, but got 300 and 0\. Take"),
        ({"times": TIMES[::-1]}, r"increasing times .* 2 frames, but got .* \(101,\)\. Use those"),
        ({"times": TIMES[:1]}, r"increasing times .* 2 frames, but got .* \(1,\)\. Use those"),
    ],
)
def test_wrong_input(wrong: dict, text: str, as_user) -> None:
    with pytest.raises(ValueError, match=text):
        report(linear(-1.0), **wrong)
