"""What a test leaves behind in this process's environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pilotlight.settings import PREFIX


@pytest.fixture(autouse=True)
def settings_stay_as_they_are() -> Iterator[None]:
    """A setting that a test leaves behind would be taken by the functions that later tests start."""
    before = _settings()
    yield
    after = _settings()
    for name in after.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    assert after == before


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
