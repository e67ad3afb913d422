"""What runs the model of the server: no machine of the tests has a GPU, so that every one of them is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight import runtimes
from pilotlight.errors import RuntimeMismatch, SettingsError
from pilotlight.model.lock import load_lock
from pilotlight.runtimes.onnx.c_library import library_path
from repository import LOCK, SAMPLE
from server_device import Device, find

WITHOUT_CUDA = "was built without CUDA; install onnxruntime-gpu"


@pytest.fixture
def with_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a provider for CUDA, which has nothing in it, beside the library that is installed."""
    found = library_path()
    assert found is not None
    folder = tmp_path / "onnxruntime" / "capi"
    folder.mkdir(parents=True)
    (folder / found.name).symlink_to(found)
    (folder / "libonnxruntime_providers_cuda.so").touch()
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("wanted", ["", "cpu"])
def test_a_library_without_cuda_leaves_no_choice(wanted: str) -> None:
    assert find(wanted) == Device()


def test_a_library_without_cuda_cannot_be_told_to_use_it() -> None:
    with pytest.raises(SettingsError, match="build the target gpu of functions/container/Dockerfile"):
        find("cuda")


@pytest.mark.usefixtures("with_provider")
def test_the_processor_stands_in_for_a_gpu_that_cannot_be_used_and_the_reason_is_kept() -> None:
    assert find("cpu") == Device("cpu")
    found = find("")
    assert (found.name, found.is_gpu) == ("cpu", False)
    assert WITHOUT_CUDA in found.refusal


@pytest.mark.usefixtures("with_provider")
def test_a_gpu_that_is_wanted_and_cannot_be_used_ends_the_start() -> None:
    with pytest.raises(SettingsError, match=rf"is cuda, but no GPU can be used: .*{WITHOUT_CUDA}"):
        find("cuda")


def test_the_session_of_the_model_itself_is_made_on_the_device() -> None:
    model = load_lock(LOCK).model
    folder = SAMPLE / "store" / model.name / str(model.version)
    assert runtimes.load(model, folder, 1, device="cpu")
    with pytest.raises(RuntimeMismatch, match=WITHOUT_CUDA):
        runtimes.load(model, folder, 1, device="cuda")
