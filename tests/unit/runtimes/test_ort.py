"""Models in ONNX Runtime's own format, on either engine."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engines import ENGINES, load
from large_models import mlp
from models import run_onnx
from onnx_models import ort_form
from pilotlight.errors import ModelError, RuntimeMismatch
from pilotlight.model.lock import Session
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import FP32, Tensor
from pilotlight.runtimes import Model
from pilotlight.runtimes.arrays import to_numpy

SIGNATURE = Signature((Input("features", FP32, (-1, 256), "tensor"),), (Output("scores", FP32, (-1, 3), "tensor"),))


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    mlp(tmp_path / "dense.onnx", widths=(256, 1024, 3))
    return ort_form(tmp_path / "dense.onnx")


def opened(engine: str, path: Path, packages: dict[str, str] | None = None) -> Model:
    session = Session("off", prepacking=False)
    return load(engine, path, SIGNATURE, packages, session=session, artifact_format="ort")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_one_file_is_mapped_and_answers_as_the_plain_one(engine: str, dense: Path) -> None:
    row = np.random.default_rng(3).standard_normal((2, 256), np.float32)

    model = opened(engine, dense)
    (found,) = model.predict([Tensor(FP32, (2, 256), row.tobytes())])

    assert str(dense) in Path("/proc/self/maps").read_text()
    expected = run_onnx(dense.with_suffix(".onnx"), {"features": row})["scores"]
    assert np.allclose(to_numpy(found), expected, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_its_name_does_not_matter(engine: str, dense: Path) -> None:
    assert opened(engine, dense.rename(dense.with_name("model.onnx")))


@pytest.mark.parametrize("engine", ENGINES)
def test_another_release_of_the_library_than_the_lock_s_is_refused(engine: str, dense: Path) -> None:
    with pytest.raises(RuntimeMismatch, match=r"the lock names 99\.0\.1; install what requirements\.lock pins"):
        opened(engine, dense, {"onnxruntime": "99.0.1"})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_version_of_the_format_that_the_library_does_not_read_is_refused(engine: str, dense: Path) -> None:
    content = dense.read_bytes()
    version = re.search(rb"\x01\x00\x00\x00([0-9])\x00", content)
    assert version
    dense.write_bytes(content[: version.start(1)] + b"9" + content[version.end(1) :])
    with pytest.raises(
        ModelError, match=r"^dense\.ort has version 9 of ONNX Runtime's own format, which .* optimize --one-file"
    ):
        opened(engine, dense)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(engine: str, share: float, dense: Path) -> None:
    content = dense.read_bytes()
    dense.write_bytes(content[: 8 + int(share * len(content))])
    with pytest.raises(ModelError, match=r"^dense\.ort is a model in ONNX Runtime's own format that is truncated"):
        opened(engine, dense)
