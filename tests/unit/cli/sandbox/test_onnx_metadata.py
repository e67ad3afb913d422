"""How an ONNX file says how its session is to be made."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import models
from onnx_models import with_external_data
from pilotlight.errors import FormatError
from pilotlight.model.lock import DEFAULT_SESSION, Session
from pilotlight_cli.sandbox.child.onnx_metadata import GRAPH_OPTIMIZATION, PREPACKING, mark, read_session, write_session
from pilotlight_cli.sandbox.inspection import inspect


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}


@pytest.mark.parametrize(
    "session", [Session("off", prepacking=False), Session("off"), Session("all", prepacking=False)]
)
def test_what_is_written_into_a_model_is_read_from_it(session: Session, tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    before = onnx.load(path)

    mark(path, write_session(session))

    after = onnx.load(path)
    assert read_session(metadata(path)) == session
    assert after.graph == before.graph
    assert after.opset_import == before.opset_import


def test_other_metadata_stays(tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"author": "somebody"})
    onnx.save(model, path)

    mark(path, write_session(Session("off")))

    assert metadata(path) == {"author": "somebody", GRAPH_OPTIMIZATION: "off", PREPACKING: "true"}


def test_a_model_that_says_nothing_has_the_default() -> None:
    assert read_session({"author": "somebody"}) == DEFAULT_SESSION


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (GRAPH_OPTIMIZATION, "basic", 'graph_optimization: expected "all" or "off", found "basic"'),
        (PREPACKING, "no", 'prepacking: expected "true" or "false", found "no"'),
    ],
)
def test_what_nobody_writes_there_is_refused_by_its_place(key: str, value: str, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        read_session({key: value})


def test_publishing_takes_it_over(tmp_path: Path) -> None:
    (tmp_path / "vector.bin").write_bytes(bytes(16))
    path = with_external_data(tmp_path, "vector.bin")
    mark(path, write_session(Session("off", prepacking=False)))

    found = inspect(path, format=None, signature=None, golden=None, allow=())

    assert found.runtime.session == Session("off", prepacking=False)
    assert [file.name for file in found.files] == ["model.onnx", "vector.bin"]
