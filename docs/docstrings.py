"""How the reference reads the package: a Griffe extension for what Equinox does at run time, and
for the house style of docstrings."""

import re
from collections.abc import Iterator

import griffe

# Fields that a subclass has to bring are no arguments of the class that asks for them.
_ABSTRACT = ("equinox.AbstractVar", "equinox.AbstractClassVar")


class Docstrings(griffe.Extension):
    """The fields of an `equinox.Module` are the arguments of its constructor, as those of a
    dataclass; each argument that a docstring names is an item of its own."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        for thing in _inside(pkg):
            if thing.docstring is not None:
                thing.docstring.value = itemised(thing.docstring.value)
            if thing.is_class and "__init__" not in thing.all_members and _is_equinox(thing):
                fields = _fields(thing)
                if fields:
                    thing.set_member("__init__", _constructor(thing, fields))


def itemised(text: str) -> str:
    """A docstring whose items "- `a`: one. - `b`: two." each have a line."""
    paragraphs = []
    for paragraph in re.split(r"\n{2,}", text):
        first, *others = re.split(r"(?<=[.:;]) - (?=`)", paragraph)
        if others and not first.startswith("- "):
            first += "\n"
        paragraphs.append("\n- ".join([first, *others]))
    return "\n\n".join(paragraphs)


def _inside(thing: griffe.Object) -> Iterator[griffe.Object]:
    yield thing
    for member in thing.members.values():
        if not member.is_alias:
            yield from _inside(member)


def _is_equinox(thing: griffe.Class) -> bool:
    bases = [base for each in (thing, *thing.mro()) for base in each.bases]
    return any(getattr(base, "canonical_path", "") == "equinox.Module" for base in bases)


def _fields(thing: griffe.Class) -> list[griffe.Parameter]:
    found = {}
    for owner in (*reversed(thing.mro()), thing):
        for member in owner.members.values():
            if member.is_attribute and _is_field(member):
                found[member.name] = _argument(member.name, member.annotation, member.value)
    return list(found.values())


def _constructor(thing: griffe.Class, fields: list[griffe.Parameter]) -> griffe.Function:
    parameters = griffe.Parameters(_argument("self"), *fields)
    return griffe.Function("__init__", parent=thing, parameters=parameters, returns="None")


def _argument(
    name: str, annotation: griffe.Expr | None = None, value: str | griffe.Expr | None = None
) -> griffe.Parameter:
    kind = griffe.ParameterKind.positional_or_keyword
    return griffe.Parameter(name, annotation=annotation, kind=kind, default=_default(value))


def _is_field(member: griffe.Attribute) -> bool:
    annotation = member.annotation
    if annotation is None or "instance-attribute" not in member.labels:
        return False  # a class variable, or a property
    return getattr(annotation, "canonical_path", "") not in _ABSTRACT


def _default(value: str | griffe.Expr | None) -> str | griffe.Expr | None:
    """What stands behind the field: of `eqx.field(default=3.0)` that number."""
    if isinstance(value, griffe.ExprCall) and value.canonical_path == "equinox.field":
        named = {getattr(a, "name", None): getattr(a, "value", None) for a in value.arguments}
        return named.get("default")
    return value
