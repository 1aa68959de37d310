"""The sizes of a notebook."""

import pytest

import macrokit as mk


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 2),
        ({"MACROKIT_SIZE": ""}, 2),
        ({"MACROKIT_SIZE": "fast"}, 1),
        ({"MACROKIT_SIZE": "default"}, 2),
        ({"MACROKIT_SIZE": "full"}, 3),
        ({"MACROKIT_FAST": "1"}, 1),
        ({"MACROKIT_FAST": "0", "MACROKIT_SIZE": "full"}, 3),
    ],
)
def test_size(environment: dict, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MACROKIT_SIZE", "MACROKIT_FAST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert mk.size(fast=1, default=2, full=3) == expected


def test_an_unknown_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACROKIT_SIZE", "huge")
    monkeypatch.delenv("MACROKIT_FAST", raising=False)
    message = r"MACROKIT_SIZE must be one of \('fast', 'default', 'full'\), but it is 'huge'"
    with pytest.raises(ValueError, match=message):
        mk.size(fast=1, default=2, full=3)
