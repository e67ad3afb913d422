"""NVIDIA's GPUs: ONNX Runtime's execution provider for CUDA, in the wheel `onnxruntime-gpu` alone.

What the provider cannot run, the processor does. The library loads it with the driver and the libraries of CUDA when
the first session asks for it.
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html
"""

from __future__ import annotations

from ctypes import CDLL, c_int, c_void_p
from pathlib import Path

from pilotlight.errors import RuntimeMismatch
from pilotlight.runtimes.onnx.c_api import preload
from pilotlight.runtimes.onnx.c_library import Api, OrtError, library_path

NAME = "cuda"

_PROVIDER = "libonnxruntime_providers_cuda.so"
_FIRST = c_int(0)  # the number of a GPU among those that the container has


def is_installed() -> bool:
    """Whether the installed library comes with the provider; it is not loaded for this."""
    path = _provider()
    return path is not None and path.is_file()


def refusal() -> str:
    """Return why no session can run on a GPU here, in the library's own words, or an empty text.

    It makes one. From then on this process may use the GPU, and none that is forked from it.
    """
    try:
        preload({}, device=NAME)
    except (OrtError, RuntimeMismatch) as error:
        return f"{error}{_missing()}"
    return ""


def _missing() -> str:
    """Return which library of CUDA or of the driver the loader does not find, of which ONNX Runtime says nothing."""
    try:
        CDLL(str(_provider()))
    except OSError as error:  # also without ONNX Runtime's own part, which it does not find from here
        return f" ({error})" if "cannot open" in str(error) else ""
    return ""


def _provider() -> Path | None:
    path = library_path()
    return path and path.with_name(_PROVIDER)


def append(api: Api, options: c_void_p) -> None:
    """Have a session of these options run on the first GPU. Raises OrtError or RuntimeMismatch."""
    try:
        append_provider = CDLL(str(library_path())).OrtSessionOptionsAppendExecutionProvider_CUDA
    except AttributeError:
        raise RuntimeMismatch(f"onnxruntime {api.version} was built without CUDA; install onnxruntime-gpu") from None
    append_provider.restype = c_void_p
    api.check(append_provider(options, _FIRST))
