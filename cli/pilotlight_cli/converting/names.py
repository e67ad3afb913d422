"""The names that a pickle asks for, of any protocol and of joblib, read without loading anything.

Python's own unpickler reads the opcodes, so that nothing in the file is read otherwise than it will be loaded; every
class and function is replaced by one that does nothing.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from pilotlight.errors import UnsafePickle
from pilotlight_cli.formats.recognition import decompress

_WRAPPER: Final = "joblib.numpy_pickle.NumpyArrayWrapper"


def of_pickle(path: Path) -> tuple[str, ...]:
    """Return the sorted names in a pickle or joblib file. Raise UnsafePickle."""
    return tuple(sorted(_listed(decompress(path), path.name)))


def of_archive(path: Path) -> tuple[str, ...]:
    """Return the sorted names of the pickles in a zip file of PyTorch, and in those within it. Raise UnsafePickle."""
    found: set[str] = set()
    waiting = [path.read_bytes()]
    while waiting:
        with zipfile.ZipFile(io.BytesIO(waiting.pop())) as archive:
            for entry in archive.namelist():
                content = archive.read(entry)
                if zipfile.is_zipfile(io.BytesIO(content)):
                    waiting.append(content)
                elif entry.endswith(".pkl"):
                    found |= _listed(content, path.name)
    return tuple(sorted(found))


def _listed(content: bytes, about: str) -> set[str]:
    names: set[str] = set()
    try:
        _Names(io.BytesIO(content), names).load()
    except Exception as error:  # a broken pickle can fail anywhere
        raise UnsafePickle(
            f"the names in {about} cannot be listed: {type(error).__name__}: {error}; copy or save it again"
        ) from error
    return names


class _Inert:
    """Stands for anything that a pickle makes: takes every call, state and item, and does nothing."""

    arguments: tuple[Any, ...] = ()
    name = ""

    def __new__(cls, *arguments: Any, **_: Any) -> Self:  # noqa: ANN401
        made = object.__new__(cls)
        made.arguments = arguments
        return made

    def __init__(self, *_: Any, **__: Any) -> None: ...  # noqa: ANN401

    def __call__(self, *_: Any, **__: Any) -> _Inert:  # noqa: ANN401
        return _Inert()

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        self.state = state

    def __setitem__(self, _key: Any, _value: Any) -> None: ...  # noqa: ANN401

    def append(self, _item: Any) -> None: ...  # noqa: ANN401

    def extend(self, _items: Any) -> None: ...  # noqa: ANN401

    add = append
    update = extend


if TYPE_CHECKING:
    _Unpickler: Any
else:
    _Unpickler = pickle._Unpickler  # noqa: SLF001 - that of C hides its steps


class _Names(_Unpickler):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, names: set[str]) -> None:
        super().__init__(file)
        self._content = file
        self._found = names

    def find_class(self, module: str, name: str) -> type[_Inert]:
        full = f"{module}.{name}"
        if full != _WRAPPER:
            self._found.add(full)
        return type("_Named", (_Inert,), {"name": full})

    def persistent_load(self, _: Any) -> _Inert:  # noqa: ANN401
        return _Inert()

    def load_build(self) -> None:
        super().load_build()
        made = self.stack[-1]
        if isinstance(made, _Inert) and made.name == _WRAPPER:
            self._skip_array(made.state)

    # The table is by opcode: the methods alone would not be found.
    dispatch: ClassVar[dict[int, Any]] = dict(_Unpickler.dispatch)
    dispatch[pickle.BUILD[0]] = load_build

    def _skip_array(self, fields: dict[str, Any]) -> None:
        """Skip the bytes that joblib writes behind the description of an array."""
        kind = fields["dtype"].arguments[0]
        if kind.startswith("O"):
            _Names(self._content, self._found).load()
            return
        if fields.get("numpy_array_alignment_bytes") is not None:
            self._content.seek(self._content.read(1)[0], io.SEEK_CUR)
        width = int(kind[1:]) * (4 if kind[0] == "U" else 1)
        self._content.seek(prod(fields["shape"]) * width, io.SEEK_CUR)
