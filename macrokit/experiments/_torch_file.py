"""Files of `torch.save`, read without PyTorch: tensors and plain containers, and nothing executed.

The released networks are pickles of whole modules. A pickle names what it wants to call; here only
what a white list holds is found, and a module becomes a `Module` that holds its parts and can do
nothing.
"""

import collections
import math
import os
import pickle
import re
import zipfile
from typing import Any

import numpy as np

_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
# Modules of PyTorch, and of the released code, whatever its folders are called.
_MODULES = re.compile(r"torch\.nn\.modules\.\w+\.[A-Z]\w*|(utils\.|__main__\b)[\w.]*\.?[A-Z]\w*")


class Module:
    """A module of the file, and nothing but its parts by name."""

    def parts(self) -> dict[str, Any]:
        """Parameters, buffers and modules by name."""
        return {**self._parameters, **self._buffers, **self._modules}

    def __getitem__(self, name: str) -> Any:
        """A part, or a part of a part: `module["potential_net.0.weight"]`."""
        part: Any = self
        for step in name.split("."):
            part = part.parts()[step]
        return part


def read_torch(path: str | os.PathLike) -> Any:
    """What a file of `torch.save` holds: arrays for tensors, `Module`s for modules.

    Raises `ValueError` for what is no such file, for a damaged one, and for one that names anything
    but tensors, plain containers and modules.
    """
    try:
        with zipfile.ZipFile(path) as file:
            listed = [name for name in file.namelist() if name.endswith("/data.pkl")]
            with file.open(listed[0]) as content:
                return _Unpickler(content, file, listed[0].removesuffix("data.pkl")).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, LookupError, EOFError, TypeError) as error:
        raise ValueError(
            f"{path} is not a whole file of torch.save ({type(error).__name__}: {error}). Pass one "
            "that PyTorch 1.6 or later has written."
        ) from error


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: Any, file: zipfile.ZipFile, folder: str):
        super().__init__(content)
        self._file, self._folder = file, folder

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if (module, name) in known:
            return known[module, name]
        if _MODULES.fullmatch(f"{module}.{name}"):
            return type(name, (Module,), {})
        raise ValueError(
            f"The file wants to call {module}.{name}, which is neither a tensor, a plain container "
            "nor a module. It is not read; ask where it comes from."
        )

    def persistent_load(self, identity: Any) -> np.ndarray:
        kind, dtype, key, _, count = identity
        if kind != "storage":
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        content = self._file.read(f"{self._folder}data/{key}")
        return np.frombuffer(content, dtype, count=count)


def _tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> np.ndarray:
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and not (
        0 <= offset <= last < len(storage) and min(strides, default=0) >= 0
    ):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    size = storage.itemsize
    return np.lib.stride_tricks.as_strided(
        storage[offset:], shape, [stride * size for stride in strides]
    ).copy()


def _parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
    return tensor
