"""docs/reference/protocol.md: its examples are sent, and its tables compared with the code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import pytest

from docs import pages
from docs.exchanges import Exchange, as_text, exchanges, in_situation, over_core, over_http
from docs.matching import difference
from gunicorn_worker import _CLIENT_TIMEOUT
from pilotlight import errors
from pilotlight.dataplane import REQUEST_TIMEOUT
from pilotlight.errors import RequestError
from pilotlight.http.messages import Request, Response
from pilotlight.http.routes import ROUTES, find
from pilotlight.model.tensor import DATATYPES
from pilotlight.settings import read_settings
from pilotlight_cli.commands.options import Cloud
from pilotlight_cli.local import serving
from repository import LOCK

PAGE = "docs/reference/protocol.md"
TEXT = pages.read(PAGE)
EXAMPLES = list(exchanges(list(pages.blocks(PAGE, TEXT))))
CLOUDS: tuple[str, ...] = get_args(Cloud)

Send = Callable[[Request], Response]


@pytest.fixture(scope="module")
def functions() -> Iterator[dict[str, Send]]:
    """Serve the sample in each cloud's own runtime."""
    with ExitStack() as stack:
        urls = {cloud: stack.enter_context(serving(cloud, LOCK)).url for cloud in CLOUDS}
        yield {cloud: lambda request, url=url: over_http(url, request) for cloud, url in urls.items()}  # type: ignore[misc]


def titled(example: Exchange) -> str:
    return f"{example.place} {example.request.method} {example.request.path}"


@pytest.mark.parametrize("example", EXAMPLES, ids=titled)
def test_the_core_answers_as_the_page_says(example: Exchange, tmp_path: Path) -> None:
    response = over_core(in_situation(example.given, tmp_path), example.request, example.given)
    assert not difference(example.reply, as_text(response, example.reply))
    assert example.reply.count("\n", 0, example.reply.index("\n\n")) == len(response.headers), "a header is not shown"


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("example", [example for example in EXAMPLES if not example.given], ids=titled)
def test_the_functions_answer_as_the_page_says(cloud: str, example: Exchange, functions: dict[str, Send]) -> None:
    response = functions[cloud](example.request)
    assert not difference(example.reply, as_text(response, example.reply))


def test_the_page_has_every_route_and_no_other() -> None:
    rows = {(path.strip("`"), method) for method, path, *_ in pages.table(pages.section(TEXT, "## Routes"))}
    assert rows == {(route.path, route.method) for route in ROUTES}


def test_every_route_has_an_example() -> None:
    shown = {found[0].path for found in (find(example.request.path) for example in EXAMPLES) if found}
    same = {"/health", "/health/ready", "/health/startup"}  # three names for one thing
    assert {route.path for route in ROUTES} - same <= shown
    assert shown & same


def test_the_page_has_every_error_and_no_other() -> None:
    rows = {(int(status), code.strip("`")) for status, code, _ in pages.table(pages.section(TEXT, "## Errors"))}
    ours = {(kind.status, kind.code) for kind in vars(errors).values() if is_reply(kind)}
    assert rows == ours | {(500, "internal")}


def is_reply(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, RequestError) and kind is not RequestError


def test_every_error_has_an_example() -> None:
    shown = {int(example.reply.split()[1]) for example in EXAMPLES}
    rows = {int(status) for status, *_ in pages.table(pages.section(TEXT, "## Errors"))}
    assert shown == rows | {200, 204}


def test_the_limits_are_the_codes(tmp_path: Path) -> None:
    limit = read_settings({"PILOTLIGHT_STORE": "gs://models"}, tmp_path).max_body_bytes
    *bodies, arrival, wait = pages.table(pages.section(TEXT, "## Limits"))
    assert [row[1] for row in bodies] == [f"{limit:,} bytes"] * 2
    assert f"{_CLIENT_TIMEOUT:g} s each" in arrival[1]
    assert f"{REQUEST_TIMEOUT:g} s" in wait[1]


def test_every_datatype_has_its_rule() -> None:
    named = " ".join(row[0] for row in pages.table(pages.section(TEXT, "## Numbers")))
    ranges = {"INT8 to INT64": ("INT16", "INT32"), "UINT8 to UINT64": ("UINT16", "UINT32")}
    between = [name for text, names in ranges.items() if text in named for name in names]
    assert {*named.replace(",", "").replace(" to ", " ").split(), *between} == set(DATATYPES)
