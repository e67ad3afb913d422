"""Fixtures of the tests of signatures."""

from __future__ import annotations

from pathlib import Path

import pytest

from signed_versions import Workshop, make_workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Return a project that demands the signer `team`, with an empty store."""
    return make_workshop(tmp_path)
