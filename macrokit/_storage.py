"""Models and checkpoints on disk: a JSON header, then the arrays. Loading executes nothing."""

import contextlib
import glob
import hashlib
import io
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

_MAGIC = "macrokit"
_VERSION = 2  # 1 did not name functions

Tree = TypeVar("Tree")


def save(
    path: str | os.PathLike, tree: Any, hyperparameters: Mapping[str, Any] | None = None
) -> None:
    """Write the arrays of a model, a closure or a training state.

    The file is one line of JSON (format, version, type, `hyperparameters`, shapes, checksum) and
    then the arrays. It appears under its name only when it is complete: a kill while it is written
    leaves the previous one as it was.
    """
    leaves = _array_leaves(tree)
    body = io.BytesIO()
    for leaf in leaves:
        np.save(body, _plain(leaf), allow_pickle=False)
    header = {
        "format": _MAGIC,
        "version": _VERSION,
        "type": type(tree).__name__,
        "hyperparameters": dict(hyperparameters or {}),
        "arrays": [_shape(leaf) for leaf in leaves],
        "settings": _settings(tree),
    }
    header["sha256"] = _checksum(header, body.getvalue())
    write_whole(path, json.dumps(header).encode() + b"\n" + body.getvalue())


def load(path: str | os.PathLike, *, like: Tree) -> Tree:
    """Read a file of `save` into the structure of `like`.

    - `like`: an object built as the saved one was (same sizes); its arrays are replaced.

    Raises `ValueError` that says what is wrong with a foreign, damaged or differently sized file.
    """
    header, body = _read(path)
    leaves, expected = _array_leaves(like), header["arrays"]
    if header["type"] != type(like).__name__:
        raise ValueError(
            f"{path} holds a {header['type']}, but `like` is a {type(like).__name__}. "
            f"Pass a {header['type']} of the same sizes: {header['hyperparameters']}."
        )
    found = [_shape(leaf) for leaf in leaves]
    # Numbers and names that are no arrays, such as OnsagerNet's α, are those of `like`.
    named = header["version"] > 1
    expected, found = expected + header["settings"], found + _settings(like, named=named)
    if found != expected:
        detail = f"{len(expected)} parts in the file, {len(found)} in `like`"
        differing = [(a, b) for a, b in zip(expected, found, strict=False) if a != b]
        if differing:
            detail = f"first difference: {differing[0][0]} in the file, {differing[0][1]} in `like`"
        raise ValueError(
            f"{path} does not fit `like`: {detail}. Build `like` with the hyper-parameters of the "
            f"file: {header['hyperparameters']}."
        )
    stream = io.BytesIO(body)
    new = [_restored(np.load(stream, allow_pickle=False), leaf) for leaf in leaves]
    dynamic, static = eqx.partition(like, eqx.is_array)
    return eqx.combine(jax.tree.unflatten(jax.tree.structure(dynamic), new), static)


def hyperparameters(path: str | os.PathLike) -> dict[str, Any]:
    """The hyper-parameters that a file of `save` was written with."""
    return _read(path)[0]["hyperparameters"]


def save_arrays(path: str | os.PathLike, **arrays: Any) -> None:
    """Write named arrays as a compressed .npz, whole or not at all."""
    body = io.BytesIO()
    np.savez_compressed(body, **{name: np.asarray(a) for name, a in arrays.items()})
    write_whole(path, body.getvalue())


def load_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a file of `save_arrays`."""
    content = io.BytesIO(Path(path).read_bytes())
    try:
        with np.load(content, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # a damaged .npz fails in many ways, none of which says its name
        raise ValueError(f"{path} is not a readable .npz file ({error}). Save it again.") from error


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Write next to `path`, flush to disk, and rename: the file is the old one or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f"{os.getpid()}-{threading.get_ident()}"
    part = path.with_name(f".{path.name}.{writer}.part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    # What a killed writer left behind.
    for old in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(FileNotFoundError):  # cleared by another writer
            if time.time() - old.stat().st_mtime > 600:
                old.unlink()


def _read(path: str | os.PathLike) -> tuple[dict[str, Any], bytes]:
    line, _, body = Path(path).read_bytes().partition(b"\n")
    try:
        header = json.loads(line)
        ours = header["format"] == _MAGIC
    except (ValueError, TypeError, KeyError):
        ours = False
    if not ours:
        raise ValueError(f"{path} is not a macrokit file. Pass a file written by `macrokit.save`.")
    version = header.get("version")
    if isinstance(version, int) and version > _VERSION:
        raise ValueError(
            f"{path} has format version {version}; this macrokit reads up to {_VERSION}. "
            "Update macrokit."
        )
    if header.pop("sha256", None) != _checksum(header, body):
        raise ValueError(
            f"{path} is damaged: its content does not match its checksum. Use an earlier copy."
        )
    return header, body


def _checksum(header: dict[str, Any], body: bytes) -> str:
    return hashlib.sha256(json.dumps(header).encode() + body).hexdigest()


def _array_leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(eqx.filter(tree, eqx.is_array))


def _settings(tree: Any, *, named: bool = True) -> list[Any]:
    """Numbers and words among the leaves, and the names of functions, such as activations."""
    return [
        getattr(leaf, "__name__", type(leaf).__name__) if callable(leaf) else leaf
        for leaf in jax.tree.leaves(tree)
        if isinstance(leaf, bool | int | float | str) or (named and callable(leaf))
    ]


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _shape(leaf: Any) -> list[Any]:
    plain = _plain(leaf)
    return [str(plain.dtype), list(plain.shape)]


def _restored(array: np.ndarray, leaf: Any) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    return jnp.asarray(array)
