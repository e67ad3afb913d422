"""Modules of the publisher's own, whose classes a pickle or a skops file names.

Their sources are the further files of the model, each a zip named after its module. They are imported from the very
bytes whose digest was compared with the lock, behind everything that is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType

from pilotlight.errors import ModelError
from pilotlight.model.lock import Description
from pilotlight.pickles.forbidden import is_foreign

SUFFIX = ".zip"

_MOST_BYTES = 20_000_000


def module_names(model: Description) -> list[str]:
    """Return the names of a scikit-learn model's own modules. Raise ModelError for another further file.

    A module has the name of no library that Pilotlight knows, and the lock shows what the model uses of it.
    """
    shown = {name.partition(".")[0] for name in model.extra_globals}
    names = []
    for file in model.files[1:]:
        name = file.name.removesuffix(SUFFIX)
        if file.name != name + SUFFIX or name not in shown or not is_foreign(f"{name}.any"):
            raise ModelError(
                f"{model.name}:{model.version} has the file {file.name}, expected only sources of modules of which the "
                "publisher allowed names; publish the model again"
            )
        names.append(name)
    return names


def install(name: str, data: bytes) -> None:
    """Make the module or package in a zip of sources importable, instead of an earlier one of that name.

    Raise ModelError for other content, or the name of an installed package.
    """
    sources = read_sources(name, data)
    for finder in [finder for finder in sys.meta_path if isinstance(finder, _Sources) and finder.name == name]:
        sys.meta_path.remove(finder)
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]
    if find_spec(name) is not None:
        raise ModelError(f"the module {name} has the name of a package that is installed; rename it and train again")
    sys.meta_path.append(_Sources(name, sources))


def read_sources(name: str, data: bytes) -> dict[str, str]:
    """Return the sources in a zip by the paths of their files. Raise ModelError for what is not of that module."""
    from io import BytesIO  # noqa: PLC0415 - few models have modules of their own
    from zipfile import BadZipFile, ZipFile  # noqa: PLC0415

    try:
        with ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            paths = [entry.filename for entry in entries]
            known = all(
                path == f"{name}.py" or (path.startswith(f"{name}/") and path.endswith(".py")) for path in paths
            )
            if not known or sum(entry.file_size for entry in entries) > _MOST_BYTES:
                raise ModelError(
                    f"{name}{SUFFIX} holds {', '.join(paths[:4])}, expected at most {_MOST_BYTES} bytes of sources of "
                    f"the module {name}; publish the model again"
                )
            return {path: archive.read(path).decode() for path in paths}
    except (BadZipFile, KeyError, UnicodeDecodeError, RuntimeError) as error:
        raise ModelError(f"{name}{SUFFIX} cannot be read: {error}; publish the model again") from error


class _Sources:
    """Finds and loads the modules of one package, see `importlib.abc`."""

    def __init__(self, name: str, sources: Mapping[str, str]) -> None:
        self.name = name
        self._sources = sources

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        file = name.replace(".", "/")
        for path in (f"{file}/__init__.py", f"{file}.py"):
            if path in self._sources:
                return ModuleSpec(name, self, origin=path, is_package=path.endswith("__init__.py"))  # type: ignore[arg-type]
        return None

    def create_module(self, _spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        path = str(module.__spec__.origin) if module.__spec__ else ""
        code: CodeType = compile(self._sources[path], path, "exec")
        exec(code, module.__dict__)  # noqa: S102 - the lock pins the source
