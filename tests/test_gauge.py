"""The gauge: ν, η, κ and δ against what they mean, the recommended number, the sentence."""

import dataclasses

import jax
import numpy as np
import pytest
from catalogue import DESIGNS, Heat, Ring, closure, host_system, state, states

import macrokit as mk
from macrokit._gauge import closure_defect, diagnose

RING = Ring()
KEY = jax.random.key(0)
CANDIDATES = {name: build() for name, build in DESIGNS.items()}


@pytest.fixture(scope="module")
def ring() -> mk.Diagnosis:
    return diagnose(RING, closure(RING), states(RING, 12), fraction=0.5, candidates=CANDIDATES)


def test_the_noise_is_that_of_redraws(ring: mk.Diagnosis) -> None:
    """ν = mean Var(ŷ | x)/Var y over the pilot states, by brute force."""
    phi, pilot = closure(RING), np.asarray(states(RING, 12))
    for estimator, control in (("direct", 0.0), ("lifted", 1.0), ("difference", 1.0)):
        for design in ("without-replacement", "stratified"):
            drawn = [
                mk.redraw(
                    RING, phi, x, CANDIDATES[design], 6, control=control, count=2_000, key=KEY
                )
                for x in pilot
            ]
            variance = np.mean([d.estimates.var(axis=0) for d in drawn], axis=0)
            rates = np.stack([d.truth for d in drawn])
            expected = variance / rates.var(axis=0)
            np.testing.assert_allclose(ring.noise[estimator, design], expected, rtol=0.1)


def test_the_other_numbers(ring: mk.Diagnosis) -> None:
    phi, pilot = closure(RING), states(RING, 12)
    assert ring.eta == pytest.approx(float(mk.lift_defect(RING, phi, pilot)), rel=1e-4)
    conditions = np.asarray(jax.jit(jax.vmap(lambda x: phi.condition(x)))(pilot))
    assert ring.condition == pytest.approx((conditions.mean(), conditions.max()), rel=1e-4)
    assert ring.forces == 12 * 12
    assert (ring.sites, ring.number, ring.observables) == (12, 6, 2)
    assert ring.numbers[0] == 1
    assert ring.numbers[-1] == 12
    for (_, design), curve in ring.curves.items():
        all_drawn = design not in ("with-replacement", "proportional-to-size")
        assert (curve[-1].max() < 1e-9) == all_drawn
        assert curve[0].mean() > curve[len(curve) // 2].mean()
    assert all(second >= 0 for second in ring.seconds.values())
    assert ring.noise[ring.best].mean() == min(noise.mean() for noise in ring.noise.values())


def test_the_recommended_number_is_the_two_stage_optimum() -> None:
    """√(c ν₁/δ) where ν = ν₁/s, that is, with replacement."""
    candidates = {"with-replacement": mk.designs.WithReplacement()}
    found = []
    for force_seconds in (1e-7, 1e-5, 1e3):
        d = diagnose(
            RING,
            closure(RING),
            states(RING, 12),
            candidates=candidates,
            force_seconds=force_seconds,
        )
        overhead = (d.seconds["encoding"] + d.seconds["neighbours"]) / force_seconds
        first = d.noise[d.best].mean() * d.number
        ratio = first / d.defect.mean()
        expected = np.clip(np.sqrt(overhead * ratio), 1, 12)
        below = max(n for n in d.numbers if n <= expected)
        above = min(n for n in d.numbers if n >= expected)
        assert d.recommended in (below, above)
        assert d.share == pytest.approx((d.recommended + ratio) / 12, rel=0.02)
        found.append(d.recommended)
    assert found[0] >= found[1] >= found[2] == 1
    assert found[0] > found[2]


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_defect_is_the_noise_that_z_does_not_tell(share: float) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 2))
    smooth = np.sin(z[:, :1]) + 0.3 * z[:, 1:] ** 2
    y = smooth / smooth.std() * np.sqrt(1 - share) + np.sqrt(share) * rng.normal(size=(300, 1))
    (found,) = closure_defect(z, y)
    assert found == pytest.approx(share, abs=0.06 if share else 1e-3)


def test_the_defect_of_a_quadratic_field_is_nothing() -> None:
    """Also where states lie far apart, so that no other one is near."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(50, 4)) * rng.exponential(size=(50, 1))
    y = np.stack([z[:, 0] * (1 - z[:, 0] - z[:, 1]), z[:, 1] * z[:, 2] - z[:, 3]], axis=1)
    assert closure_defect(z, y).max() < 1e-6


def test_the_defect_of_other_shapes(as_user: None) -> None:
    with pytest.raises(ValueError, match=r"at least 10 states, but have shapes \(20, 2\) and"):
        closure_defect(np.ones((20, 2)), np.ones((19, 1)))


def test_the_defect_of_closures_that_close_and_that_do_not() -> None:
    """Three modes of the heat equation close; a sum of two that decay unequally does not."""
    heat = Heat()
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(60, 3)) @ heat.modes())[..., None].astype(np.float32)
    closed = diagnose(heat, heat.closure(), x, candidates=CANDIDATES)
    assert closed.defect.max() < 1e-6

    class Corner(Heat):
        def observable(self, x):
            return x[:3].mean(axis=0)

    system, angle = Corner(), 2 * np.pi * np.arange(16) / 16
    modes = np.stack([np.cos(n * angle) for n in (1, 2, 3)])
    x = (rng.normal(size=(60, 3)) @ modes)[..., None].astype(np.float32)
    phi = dataclasses.replace(heat.closure(), observable=system.observable)
    broken = diagnose(system, phi, x, candidates=CANDIDATES)
    assert 0.1 < broken.defect[0] <= 1
    assert broken.names == ("z*1", "ẑ1")
    assert "of d(z*1)/dt cannot be told from z: the closure is" in broken.sentence


def test_leading_variables_are_judged_alone() -> None:
    """Two of three modes lead: what the third would add is neither given nor asked for."""
    heat = Heat()
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(40, 3)) @ heat.modes())[..., None].astype(np.float32)
    whole = diagnose(heat, heat.closure(), x, candidates=CANDIDATES)
    first = diagnose(heat, heat.closure(), x, candidates=CANDIDATES, leading=2)
    assert first.names == whole.names[:2]
    for names, curve in first.curves.items():
        np.testing.assert_allclose(curve, whole.curves[names][:, :2], rtol=1e-6)
    assert first.defect.max() < 1e-6  # each mode decays by itself

    with pytest.raises(ValueError, match="leading must lie between the number of observables, 2"):
        diagnose(heat, heat.closure(), x, candidates=CANDIDATES, leading=1)


def test_the_sentence(ring: mk.Diagnosis) -> None:
    curves = {ring.best: np.outer([0.5, 0.13, 1e-9], np.ones(4))}
    quiet = dataclasses.replace(
        ring,
        numbers=(1, 2, 12),
        curves=curves,
        recommended=2,
        defect=np.full(4, 0.09),
        eta=0.02,
        number=2,
    )
    assert quiet.share == pytest.approx(2 * (0.09 + 0.13) / (12 * 0.09))
    said = quiet.sentence
    assert said.startswith("Sampling noise is 13 % with 2 of 12 sites")
    assert said.endswith("partial forces pay; lifting leaves 2 % of the force unexplained.")
    fast = dataclasses.replace(quiet, eta=0.9)
    assert fast.sentence.endswith("lifting explains 10 % of the force only.")
    open_ = dataclasses.replace(quiet, defect=np.array([0.1, 0.8, 0, 0]), names=tuple("abcd"))
    assert "pay; but 80 % of d(b)/dt cannot be told from z: the closure" in open_.sentence
    curves = {ring.best: np.outer([3.0, 0.9, 1e-9], np.ones(4))}
    noisy = dataclasses.replace(quiet, curves=curves, recommended=12)
    assert noisy.share == pytest.approx(1)
    assert "Sampling noise is 90 % with 2 of 12 sites" in noisy.sentence
    assert "sampling is the problem, draw all sites" in noisy.sentence
    curves = {ring.best: np.outer([0.5, 0.08, 1e-9], np.ones(4))}
    scarce = dataclasses.replace(noisy, curves=curves)
    assert "is 8 % with 2 of 12 sites" in scarce.sentence
    assert "pay where forces are few; with many, draw all sites; lifting" in scarce.sentence
    still = dataclasses.replace(quiet, curves={ring.best: np.full((3, 4), 1e-9)}, eta=1e-6)
    assert "Sampling noise is less than 0.01 % with" in still.sentence


def test_the_table_can_be_read(ring: mk.Diagnosis) -> None:
    text = str(ring)
    assert max(len(line) for line in text.splitlines()[:-1]) <= 130
    for name in ("lifted, stratified", "δ, cannot be told", "recommended:", "144 forces"):
        assert name in text
    assert text.endswith(ring.sentence)


def test_host_systems_have_a_gauge_too() -> None:
    host = host_system()
    same = mk.systems.PredatorPrey(nodes=6)
    candidates = {"without-replacement": mk.designs.WithoutReplacement()}
    d, twin = (
        diagnose(system, closure(same), states(same, 10), candidates=candidates)
        for system in (host, same)
    )
    assert d.seconds["force"] > twin.seconds["force"]  # loops in Python
    key = ("lifted", "without-replacement")
    np.testing.assert_allclose(d.noise[key], twin.noise[key], rtol=1e-3)


def test_the_numbers_of_sites_are_yours(ring: mk.Diagnosis) -> None:
    pilot = states(RING, 12)
    own = diagnose(RING, closure(RING), pilot, fraction=0.5, numbers=[9, 2], candidates=CANDIDATES)
    assert own.numbers == (2, 6, 9)
    assert own.recommended in own.numbers
    for names, noise in own.noise.items():
        np.testing.assert_allclose(noise, ring.noise[names], rtol=1e-4, atol=1e-12)
    assert own.uncertainty("exact", "stratified", 6) == pytest.approx(own.defect.mean())
    noise = own.curves["direct", "stratified"][2].mean()
    assert own.uncertainty("direct", "stratified", 9) == pytest.approx(own.defect.mean() + noise)
    with pytest.raises(ValueError, match=r"must lie in 1 … 12, but got \(6, 13\)\. Leave"):
        diagnose(RING, closure(RING), pilot, fraction=0.5, numbers=[13])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"fraction": 0}, r"fraction must lie in \(0, 1\], but got 0"),
        ({"fraction": 2}, r"fraction must lie in \(0, 1\], but got 2"),
        ({"candidates": {}}, r"no design among the candidates\. Leave"),
        ({"force_seconds": 0.0}, r"force_seconds must be positive, but got 0\.0"),
        ({"force_seconds": np.nan}, r"force_seconds must be positive, but got nan"),
    ],
)
def test_impossible_choices(choices: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagnose(RING, closure(RING), np.asarray([state(RING)] * 10), **choices)


def test_too_few_states() -> None:
    message = r"at least 10 pilot states, better 50, but got 3\. Take more of them by `spread`"
    with pytest.raises(ValueError, match=message):
        diagnose(RING, closure(RING), np.asarray([state(RING)] * 3))
