"""The layers of the core: which room may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "shared" / "pilotlight"

# A room is a folder of the core or a module beside the folders. Each may import these, besides `errors` and `frozen`.
MAY_IMPORT = {
    "errors": set[str](),
    "frozen": set(),
    "settings": set(),
    "judging": set(),
    "telemetry": {"settings"},
    "summaries": {"telemetry"},
    "model": set(),
    "codec": {"model"},
    "fetch": {"model"},
    "drift": {"model", "summaries", "telemetry"},
    "pickles": {"model"},
    "runtimes": {"model", "pickles"},
    "features": {"fetch", "model"},
    "start": {"fetch", "model", "runtimes", "telemetry"},
    "dataplane": {"codec", "features", "model", "start"},
    "http": {"codec", "dataplane", "model"},
    "protocols": {"codec", "dataplane", "http", "model"},
    "records": {"codec", "dataplane", "model", "protocols", "telemetry"},
    "files": {"codec", "dataplane", "model"},
    "experiments": {"codec", "dataplane", "features", "http", "model", "start", "telemetry"},
    "shadow": {
        *("codec", "dataplane", "experiments", "fetch", "model", "runtimes", "start", "summaries", "telemetry"),
    },
    "tracing": {"codec", "fetch", "model", "summaries", "telemetry"},
    "service": {"codec", "dataplane", "experiments", "features", "http", "model", "protocols", "start", "telemetry"},
    "boot": {
        "codec",
        "dataplane",
        "drift",
        "experiments",
        "features",
        "fetch",
        "model",
        "service",
        "settings",
        "shadow",
        "start",
        "telemetry",
        "tracing",
    },
    "library": {"boot", "codec", "dataplane", "fetch", "model", "protocols", "start", "telemetry"},
}
EVERYWHERE = {"errors", "frozen"}


def modules() -> list[Path]:
    return sorted(file for file in CORE.rglob("*.py") if file != CORE / "__init__.py")


def room(file: Path) -> str:
    return file.relative_to(CORE).parts[0].removesuffix(".py")


def imports(source: str) -> set[str]:
    """Return the rooms that a source imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("pilotlight.")} & MAY_IMPORT.keys()


def strangers(name: str, source: str) -> set[str]:
    return imports(source) - MAY_IMPORT[name] - EVERYWHERE - {name}


def test_every_room_is_in_the_table() -> None:
    assert {room(file) for file in modules()} == MAY_IMPORT.keys()


def test_a_room_imports_only_what_is_below_it() -> None:
    found = {str(file.relative_to(CORE)): strangers(room(file), file.read_text()) for file in modules()}
    assert {name: rooms for name, rooms in found.items() if rooms} == {}


def test_no_two_rooms_import_each_other() -> None:
    for name, below in MAY_IMPORT.items():
        assert all(name not in MAY_IMPORT[other] for other in below), name


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("model", "from pilotlight.codec.body import read_json"),
        ("fetch", "from pilotlight.http import messages"),
        ("pickles", "import pilotlight.codec.decode"),
        ("runtimes", "def load():\n    from pilotlight.codec import encode"),
        ("start", "from pilotlight import service"),
        ("dataplane", "from pilotlight.http.messages import Request"),
        ("http", "from pilotlight.protocols.v1 import ACTIONS"),
        ("service", "from pilotlight.boot import boot"),
    ],
)
def test_an_import_from_above_is_found(name: str, source: str) -> None:
    assert strangers(name, source)
