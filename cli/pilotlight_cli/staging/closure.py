"""The modules of the core that a function's own modules import, found by parsing them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from pilotlight_cli.staging.package import BuildError


def imported_modules(sources: Iterable[Path], package: Path, names: Iterable[str] = ()) -> list[Path]:
    """Return the files of a package that `sources` import, directly or indirectly, anywhere in their code.

    `names` are modules that are imported by name, without an import statement. Imports for type checkers alone do not
    count. Raise BuildError for invalid syntax and relative imports.
    """
    found = {file for name in names for file in _files(name, package)}
    waiting = [*sources, *sorted(found)]
    while waiting:
        reached = {file for name in _imports(waiting.pop()) for file in _files(name, package)}
        waiting += sorted(reached - found)
        found |= reached
    return sorted(found)


def sibling_modules(sources: Iterable[Path], folders: Iterable[Path]) -> list[Path]:
    """Return the modules of folders that `sources` import, directly or indirectly, anywhere in their code.

    Such a folder is no package: its modules import each other by their bare names.
    """
    modules = {file.stem: file for folder in folders for file in folder.glob("*.py")}
    found: set[Path] = set()
    waiting = [*sources]
    while waiting:
        names = {name.partition(".")[0] for name in _imports(waiting.pop())}
        reached = {modules[name] for name in names & modules.keys()} - found
        waiting += sorted(reached)
        found |= reached
    return sorted(found)


def _files(name: str, package: Path) -> Iterator[Path]:
    """Yield the files that importing a dotted name runs; none if it is outside the package."""
    parts = name.split(".")
    if parts[0] != package.name:
        return
    for count in range(1, len(parts) + 1):
        place = package.parent.joinpath(*parts[:count])
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                yield file


def _imports(file: Path) -> tuple[str, ...]:
    return _imported(file, file.read_bytes())


@cache
def _imported(file: Path, source: bytes) -> tuple[str, ...]:
    try:
        return tuple(_names(ast.parse(source, str(file)), file))
    except SyntaxError as error:
        raise BuildError(f"{file}, line {error.lineno}: {error.msg}") from None


def _names(node: ast.AST, file: Path) -> Iterator[str]:
    """Yield every name that could be a module: `from a import b` may mean the module a.b."""
    inner: Iterable[ast.AST] = ast.iter_child_nodes(node)
    match node:
        case ast.Import(names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names, level=0):
            yield from (f"{module}.{alias.name}" for alias in names)
        case ast.ImportFrom():
            raise BuildError(f"{file}, line {node.lineno}: found a relative import, expected the module's full name")
        case ast.If(test=ast.Name("TYPE_CHECKING"), orelse=otherwise):
            inner = otherwise
    for child in inner:
        yield from _names(child, file)
