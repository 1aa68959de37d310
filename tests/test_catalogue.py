"""Whatever the package exports is in the catalogue, and so goes through the generic tests."""

import inspect
from types import ModuleType

import catalogue
import jax
import pytest

import macrokit as mk

KEY = jax.random.key(0)
FOLDERS = {
    "systems": (mk.systems, mk.systems.AbstractSystem, catalogue.SYSTEMS),
    "designs": (mk.designs, mk.designs.AbstractDesign, catalogue.DESIGNS),
    "estimators": (mk.estimators, mk.estimators.AbstractEstimator, catalogue.ESTIMATORS),
    "macro": (mk.macro, mk.macro.AbstractMacro, catalogue.MACROS),
    "scalings": (mk.macro, mk.macro.AbstractScaling, catalogue.SCALINGS),
}
TABLES = {
    "systems": mk.systems.TABLE,
    "designs": mk.designs.TABLE,
    "estimators": mk.estimators.TABLE,
    "macro": mk.macro.TABLE,
    "scalings": mk.macro.SCALINGS,
}


# Has tests of its own, which are skipped where its optional package is missing.
OPTIONAL = {mk.systems.LammpsLennardJones}


def exported(module: ModuleType, base: type) -> set[type]:
    """The concrete classes of a folder, but for the optional ones."""
    classes = [c for c in vars(module).values() if inspect.isclass(c) and issubclass(c, base)]
    return {c for c in classes if not c.__name__.startswith("Abstract")} - OPTIONAL


def built(name: str) -> dict[str, type]:
    def kind(build) -> type:
        if inspect.isclass(build):
            return build
        return type(build(3, key=KEY) if name == "macro" else build())

    return {entry: kind(build) for entry, build in FOLDERS[name][2].items()}


def classes(name: str) -> dict[str, type]:
    """The classes of a table, some of which stand in it with an option set."""
    return {entry: getattr(build, "func", build) for entry, build in TABLES[name].items()}


@pytest.mark.parametrize("name", FOLDERS)
def test_every_exported_class_is_tested(name: str) -> None:
    module, base, _ = FOLDERS[name]
    assert exported(module, base) <= set(built(name).values())


@pytest.mark.parametrize("name", FOLDERS)
def test_every_name_of_the_table_is_tested(name: str) -> None:
    assert classes(name).items() <= built(name).items()


@pytest.mark.parametrize("name", FOLDERS)
def test_every_exported_class_has_a_name_in_the_table(name: str) -> None:
    module, base, _ = FOLDERS[name]
    # Made from a user's function, or from another field.
    nameless = {mk.systems.HostSystem, mk.macro.Driven}
    assert exported(module, base) - nameless == set(classes(name).values())


def test_something_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(catalogue.ESTIMATORS, "lifted")
    with pytest.raises(AssertionError):
        test_every_exported_class_is_tested("estimators")
    with pytest.raises(AssertionError):
        test_every_name_of_the_table_is_tested("estimators")
