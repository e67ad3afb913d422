"""Publishing and pinning many models: what is the same for all of them is made once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from pilotlight_cli.pinning import pin
from pilotlight_cli.pinning.requirements import resolve_pins


@pytest.fixture(scope="module", autouse=True)
def resolved_once() -> Iterator[None]:
    """Resolve the same packages once: the rows of the table differ in their models, not in their libraries."""

    @cache
    def resolve(packages: tuple[str, ...], constraints: tuple[Path, ...], previous: str, header: str) -> str:
        return resolve_pins(packages, constraints=constraints, previous=previous, header=header)

    def resolve_once(
        packages: Sequence[str], *, constraints: Sequence[Path], previous: str, header: str, **_: Any
    ) -> str:
        return resolve(tuple(packages), tuple(constraints), previous, header)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pin, "resolve_pins", resolve_once)
        yield


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Let libraries use one thread: more of them wait in loops where the machine has fewer processors to spare."""
    with threadpool_limits(1):
        yield
