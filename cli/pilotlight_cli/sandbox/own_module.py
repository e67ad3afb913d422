"""The publisher's own module, packed as a file of the model: `publish --with-module`."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile, ZipInfo

from pilotlight.pickles.forbidden import is_foreign
from pilotlight.runtimes.own_modules import SUFFIX
from pilotlight_cli.regular_files import check_regular
from pilotlight_cli.sandbox.job import UsageError

# Equal sources make equal bytes, and so one digest.
_TIME = (1980, 1, 1, 0, 0, 0)


def module_name(path: Path) -> str:
    """Return the name under which a .py file, or a folder with __init__.py, is imported. Raise UsageError."""
    name = path.name if path.is_dir() else path.stem
    if not (path / "__init__.py").is_file() and not (path.suffix == ".py" and path.is_file()):
        raise UsageError(f"--with-module {path}: expected a .py file, or a folder with an __init__.py")
    if not (name.isascii() and name.isidentifier() and name[0] != "_"):
        raise UsageError(f"--with-module {path}: {name!r} cannot be imported; rename it and train the model again")
    if not is_foreign(f"{name}.any"):
        raise UsageError(f"--with-module {path}: {name} is the name of a known library; rename it and train again")
    return name


def pack(path: Path, folder: Path) -> Path:
    """Write the module's sources to a zip in `folder`, which has the module's name. Raise UsageError."""
    path = path.absolute()
    name = module_name(path)
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    packed = folder / f"{name}{SUFFIX}"
    with ZipFile(packed, "w") as archive:
        for file in files:
            check_regular(file)
            archive.writestr(ZipInfo(str(file.relative_to(path.parent)), _TIME), file.read_bytes())
    return packed
