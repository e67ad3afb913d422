"""Wheels of what this environment has, from which pip installs without an index."""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from email.parser import Parser
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_OF_AN_INSTALLATION = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}


def write_wheels(requirements: Iterable[str], folder: Path) -> None:
    """Write a wheel of each package that the requirements need, as it is installed here, but for Pilotlight itself."""
    for package in _closure(requirements):
        if package.name != "pilotlight":
            _write_wheel(package, folder)


def _closure(requirements: Iterable[str]) -> Iterator[Distribution]:
    waiting, found, seen = list(map(Requirement, requirements)), dict[str, Distribution](), set[tuple[str, str]]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        package = found.setdefault(name, distribution(name))
        for extra in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            needs = map(Requirement, package.requires or ())
            waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return iter(found.values())


def _write_wheel(package: Distribution, folder: Path) -> None:
    name = f"{canonicalize_name(package.name).replace('-', '_')}-{package.version}"
    record: list[tuple[str, str, object]] = []
    with ZipFile(folder / f"{name}-{_tags(package)}.whl", "w") as wheel:
        for path, file in _files(package, name):
            wheel.write(file, path)
            digest = urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
            record.append((path, f"sha256={digest}", file.stat().st_size))
        (metadata,) = (path.partition("/")[0] for path, *_ in record if path.partition("/")[2] == "METADATA")
        text = io.StringIO()
        csv.writer(text).writerows([*record, (f"{metadata}/RECORD", "", "")])
        wheel.writestr(f"{metadata}/RECORD", text.getvalue())


def _files(package: Distribution, name: str) -> Iterator[tuple[str, Path]]:
    """Yield the path of each file in a wheel, and the file; an installer writes the others."""
    generated = {point.name for point in package.entry_points if point.group == "console_scripts"}
    for entry in package.files or ():
        file = Path(str(entry.locate())).resolve()
        if "__pycache__" in entry.parts or (entry.parent.suffix == ".dist-info" and entry.name in _OF_AN_INSTALLATION):
            continue
        if entry.parts[0] != "..":
            yield entry.as_posix(), file
        elif file.parent != Path(sys.prefix).resolve() / "bin":
            yield f"{name}.data/data/{file.relative_to(Path(sys.prefix).resolve())}", file
        elif file.name not in generated:
            yield f"{name}.data/scripts/{file.name}", file


def _tags(package: Distribution) -> str:
    """Return the tags of a wheel's name, which combine those of its file WHEEL."""
    rows = Parser().parsestr(package.read_text("WHEEL") or "").get_all("Tag", [])
    columns = zip(*(row.split("-") for row in rows), strict=True)
    return "-".join(".".join(dict.fromkeys(column)) for column in columns)
