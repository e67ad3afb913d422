"""The distributions that several files look at."""

from __future__ import annotations

import pytest

from distributions import Distributions, built


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return built(tmp_path_factory.mktemp("distributions"))
