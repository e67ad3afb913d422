"""Fixtures of the command's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.package_index import PackageIndex
from parameters_fixtures import ssm, stack
from stores_fixtures import (
    aws_environ,
    emulated_gcs_store,
    fake_gcs,
    folder_store,
    gcs_store,
    opened_s3_store,
    s3_server,
    s3_store,
)

__all__ = [
    "aws_environ",
    "emulated_gcs_store",
    "fake_gcs",
    "folder_store",
    "gcs_store",
    "opened_s3_store",
    "s3_server",
    "s3_store",
    "ssm",
    "stack",
]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """Give an index with a model's libraries, the only one that uv sees."""
    with PackageIndex.at(tmp_path / "index") as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        index.add("onnxruntime", "1.31.1", "numpy>=2")
        index.add("numpy", "2.4.6")
        index.add("scikit-learn", "1.9.1", "numpy>=2")
        index.add("orjson", "3.13.0")
        yield index
