"""Recipes of closures: what each asks for."""

import dataclasses

import jax
import numpy as np
import pytest
from catalogue import benchmark

import macrokit as mk
from macrokit._closure import Identity
from macrokit.experiments import _closures
from macrokit.experiments._closures import RECIPES, Recipe, make_closure


@pytest.fixture(scope="module")
def states() -> jax.Array:
    return mk.spread(benchmark().training, 300, key=jax.random.key(0))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_followed(name: str, states, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def fit_closure(closure, given, **settings):
        asked.update(settings, closure=closure, states=given)
        return closure

    monkeypatch.setattr(_closures, "fit_closure", fit_closure)
    recipe = RECIPES[name]
    phi = make_closure(recipe, benchmark().system, states, seed=3, progress=False)
    assert asked["closure"] is phi
    assert asked["states"] is states
    loss = asked["loss"]
    same = ("condition", "learned_only", "lift", "weight_decay", "absolute", "frozen")
    assert [getattr(loss, key) for key in same] == [getattr(recipe, key) for key in same]
    assert recipe.linear or phi.encoder.weight.shape[0] == recipe.width
    assert loss.orthonormal == recipe.linear == isinstance(phi.encoder.head, Identity)
    same = ("steps", "learning_rate", "constant", "optimiser")
    assert [asked[key] for key in same] == [getattr(recipe, key) for key in same]
    assert phi.encode(states[0]).shape == (2 + recipe.learned,)
    standardised = np.abs(np.asarray(phi.decoder.state_centre)).max() > 0
    assert standardised == recipe.standardise
    assert phi.decoder.unseen == (2 if recipe.blind else 0)
    if not recipe.linear:
        assert phi.decoder.net.layers[0].out_features == recipe.width


def test_the_papers_recipe_is_the_released_codes() -> None:
    expected = Recipe(
        linear=False,
        learned=2,
        condition=1e-6,
        weight_decay=1e-4,
        absolute=True,
        standardise=False,
        steps=10 * 480_000 // 256,
        learning_rate=1e-4,
        constant=True,
        optimiser="adam-0.95",
    )
    assert RECIPES["paper"] == expected


@pytest.mark.parametrize(
    ("name", "epochs", "states", "learned_only"),
    [("paper-31", 200, 90 * 250, True), ("paper-15", 20, 97_000, False)],
)
def test_its_larger_systems_have_wider_ones(
    name: str, epochs: int, states: int, learned_only: bool
) -> None:
    recipe = RECIPES[name]
    assert recipe.steps == pytest.approx(epochs * states / 256, rel=0.01)
    assert (recipe.width, recipe.condition) == (64, 1e-5)
    assert recipe.blind
    assert recipe.learned_only == learned_only
    same = ("linear", "standardise", "learning_rate", "constant", "lift", "frozen")
    same += ("weight_decay", "absolute", "optimiser")
    assert all(getattr(recipe, key) == getattr(RECIPES["paper"], key) for key in same)


@pytest.mark.slow
def test_the_principal_recipe_trains_the_decoder_alone(states) -> None:
    recipe = dataclasses.replace(RECIPES["principal"], steps=60)
    data = benchmark()
    before, after = (
        make_closure(dataclasses.replace(recipe, steps=steps), data.system, states, seed=0)
        for steps in (0, 60)
    )
    np.testing.assert_allclose(after.encoder.weight, before.encoder.weight, atol=1e-6)

    def error(phi: mk.Closure) -> float:
        decoded = jax.jit(jax.vmap(lambda x: phi.decode(phi.encode(x))))(states)
        return float(((decoded - states[..., 0]) ** 2).mean() / states.var(axis=0).mean())

    assert error(after) < 0.75 * error(before)


def test_a_recipe_may_ask_for_more_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("macrokit.experiments._data._CLOSURE_STATES", 100)
    asked = []
    data = benchmark()

    def make(recipe, system, states, *, seed):
        asked.append(len(states))
        return data.closure

    monkeypatch.setattr("macrokit.experiments._data.make_closure", make)
    for states in (None, 150):
        recipe = dataclasses.replace(RECIPES["principal"], states=states)
        monkeypatch.setitem(RECIPES, "principal", recipe)
        dataclasses.replace(data, made={}).with_closure("principal")
    assert asked == [100, 150]


def test_another_closure_of_the_same_data(monkeypatch: pytest.MonkeyPatch) -> None:
    data, made = benchmark(), []
    short = dataclasses.replace(RECIPES["principal"], steps=0)
    monkeypatch.setitem(RECIPES, "principal", short)
    monkeypatch.setattr("macrokit.experiments._data._CLOSURE_STATES", 300)
    assert data.with_closure("shipped") is data
    for seed in (0, 1):
        other = data.with_closure("principal", seed)
        assert other.with_closure("principal", seed) is other
        assert other.with_closure("principal", seed + 1) is not other
        assert other.training is data.training
        made.append(other.closure.encoder.weight)
        back = other.with_closure("shipped").closure
        np.testing.assert_array_equal(back.encoder.weight, data.closure.encoder.weight)
    assert (made[0] != made[1]).any()
