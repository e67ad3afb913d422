"""The wheel and the sdist: which files are in them, what they say, and what they import."""

from __future__ import annotations

import ast
import stat
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from email.parser import BytesParser
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

import pilotlight
from distributions import Distributions, build
from pilotlight_cli.assets import CORE, ROOT
from pilotlight_cli.staging.closure import imported_modules

CLI = ROOT / "cli" / "pilotlight_cli"
CHILDREN = (CLI / "sandbox" / "child", CLI / "converting" / "child")  # whose libraries are the model's

PACKAGES = ("shared/pilotlight/", "cli/pilotlight_cli/")
BUNDLED = ("functions/", "starter/", "deploy/", "template.yaml", "bootstrap.yaml", "samconfig.toml", "gcp.toml")
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}
READ = {"pyproject.toml", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", ".gitignore", "PKG-INFO"}

# The core uses it in a function alone, and works without it.
OPTIONAL = {"orjson"}


def test_the_wheel_has_both_packages_and_what_they_build_from(distributions: Distributions) -> None:
    packages = {name.partition("/")[2] for name in distributions.files if name.startswith(PACKAGES)}
    bundle = {f"pilotlight_cli/bundle/{name}" for name in distributions.files if name.startswith(BUNDLED)}
    metadata = {f"pilotlight-{pilotlight.__version__}.dist-info/{name}" for name in METADATA}
    with ZipFile(distributions.wheel) as wheel:
        assert set(wheel.namelist()) == packages | bundle | metadata


def test_the_wheel_has_no_links_and_keeps_who_may_execute_a_file(distributions: Distributions) -> None:
    with ZipFile(distributions.wheel) as wheel:
        modes = {entry.filename: entry.external_attr >> 16 for entry in wheel.infolist()}
        shells = {name for name in wheel.namelist() if name.endswith(".sh") and wheel.read(name).startswith(b"#!")}
    assert not any(stat.S_ISLNK(mode) for mode in modes.values())
    assert shells
    executable = {name for name, mode in modes.items() if mode & stat.S_IXUSR}
    assert executable == shells  # other files of shell code are read by these


def test_the_sdist_has_what_the_wheel_is_built_from(distributions: Distributions) -> None:
    with tarfile.open(distributions.sdist) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers()}
    assert names == {name for name in distributions.files if name.startswith((*PACKAGES, *BUNDLED))} | READ


def test_the_wheel_of_the_tree_is_that_of_the_sdist(distributions: Distributions, tmp_path: Path) -> None:
    build(distributions.tree, tmp_path, "--wheel")
    assert (tmp_path / distributions.wheel.name).read_bytes() == distributions.wheel.read_bytes()


def test_the_wheel_says_what_it_is_and_for_which_pythons(distributions: Distributions) -> None:
    with ZipFile(distributions.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata = BytesParser().parsebytes(wheel.read(name))
    assert metadata["Version"] == pilotlight.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE"]
    pythons = [row.rpartition(" ")[2] for row in metadata.get_all("Classifier", []) if "Python :: 3." in row]
    assert metadata["Requires-Python"] == f">={pythons[0]}"


@pytest.fixture(scope="module")
def declared() -> dict[str, set[str]]:
    """Return the files of the packages that pyproject.toml names for each extra; "" is the light install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: {file for row in rows for file in files(Requirement(row).name)} for extra, rows in groups.items()}


def files(package: str) -> set[str]:
    return {str(file) for file in distribution(package).files or ()}


def imports(node: ast.AST, extra: str = "") -> Iterator[tuple[str, str]]:
    """Yield each name that could be a module, and the extra of the `with needing(...)` around its import."""
    inner = list(ast.iter_child_nodes(node))
    match node:
        case ast.Import(names):
            yield from ((alias.name, extra) for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            yield from ((f"{module}.{alias.name}", extra) for alias in names)
        case ast.If(test=ast.Name("TYPE_CHECKING"), orelse=otherwise):
            inner = list(otherwise)
        case ast.With(items=[ast.withitem(ast.Call(ast.Name("needing"), [ast.Constant(str(name)), *_]))]):
            extra = name
    for child in inner:
        yield from imports(child, extra)


def is_of(name: str, installed: set[str]) -> bool:
    """Return whether a package with these files provides a module, or the module that has the name."""
    parts = name.split(".")
    paths = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return any(f"{path}{end}" in installed for path in paths for end in (".py", "/__init__.py"))


def test_the_command_imports_packages_that_are_declared_and_those_of_an_extra_by_its_name(
    declared: dict[str, set[str]],
) -> None:
    command = [file for file in CLI.rglob("*.py") if not any(map(file.is_relative_to, CHILDREN))]
    own = {*sys.stdlib_module_names, "pilotlight", "pilotlight_cli"}
    rooms = [file for room in (CORE / "files", CLI / "batching", CLI / "drifting") for file in room.rglob("*.py")]
    of_extras = dict.fromkeys(imported_modules(command, CORE), "") | dict.fromkeys(rooms, "batch")
    found = [
        (file, name, extra)
        for file, of in (dict.fromkeys(command, "") | of_extras).items()
        for name, extra in imports(ast.parse(file.read_bytes()), of)
        if name.partition(".")[0] not in own | OPTIONAL
    ]
    undeclared = [(str(file), name, extra) for file, name, extra in found if not is_of(name, declared[extra])]
    assert not undeclared
    assert {extra for _, _, extra in found} == set(declared)
