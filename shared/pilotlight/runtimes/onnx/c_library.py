"""ONNX Runtime's C API through ctypes: its library, the functions in use here, and its errors.

The API is a table of function pointers whose order never changes once a version of it has shipped, so that a function
is known by its index. The order is that of `struct OrtApi` in include/onnxruntime/core/session/onnxruntime_c_api.h;
onnxruntime_c_api.cc asserts where the functions of each version end (GetErrorMessage 2, ReleaseCustomOpDomain 101,
SetGlobalSpinControl 149, GetBuildInfoString 254, ...). The tests call every one of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from ctypes import CDLL, CFUNCTYPE, POINTER, PYFUNCTYPE, Structure, byref, c_char_p, c_int, c_uint32, c_void_p, sizeof
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pilotlight.errors import RuntimeMismatch
from pilotlight.runtimes import check_version

# The first version of the API that has all of these functions. It came with ONNX Runtime 1.24, and older ones than
# `formats.LIBRARIES` are refused.
API_VERSION = 24

_FOLDER = Path("onnxruntime", "capi")
_PATTERNS = ("libonnxruntime.so.*", "libonnxruntime.*.dylib")

_CODES = (
    *("OK", "FAIL", "INVALID_ARGUMENT", "NO_SUCHFILE", "NO_MODEL", "ENGINE_ERROR", "RUNTIME_EXCEPTION"),
    *("INVALID_PROTOBUF", "MODEL_LOADED", "NOT_IMPLEMENTED", "INVALID_GRAPH", "EP_FAIL"),
)

# Without argument types ctypes passes what it is given: a pointer or a number has to come as a ctypes object of the
# right width. A function that is over in a microsecond keeps the interpreter's lock, which is cheaper than giving it
# away; one that works gives it away.
_QUICK = PYFUNCTYPE(c_void_p)
_WORKING = CFUNCTYPE(c_void_p)
_RELEASE = PYFUNCTYPE(None)

# `CDLL` opens a library with the interpreter's lock in its hand: for 3 ms, and for 70 where it has to come from the
# disk. The fetch would stand still as long.
_OPEN = CFUNCTYPE(c_void_p, c_char_p, c_int)(("dlopen", CDLL(None)))

ERRORS_ONLY = c_int(3)  # ORT_LOGGING_LEVEL_ERROR

Function = Callable[..., Any]


class OrtError(Exception):
    """ONNX Runtime refused; the message is its own, and `code` is what it calls that."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class _Base(Structure):
    """`struct OrtApiBase`, the only thing that the library exports."""

    _fields_: ClassVar = [
        ("get_api", CFUNCTYPE(c_void_p, c_uint32)),
        ("get_version_string", CFUNCTYPE(c_char_p)),
    ]


class Api:
    """The functions, by their names in the header. Those that return a status return None where all is well.

    `environment` is the one in which a process makes all its sessions, and stays as long as the process. To make it
    registers every operator there is: most of what `bench/onnx_engines.py` prints for the library.
    """

    def __init__(self, table: int) -> None:
        """Raises OrtError where no environment can be made."""

        def entry(index: int) -> int:
            return c_void_p.from_address(table + index * sizeof(c_void_p)).value or 0

        self._code = PYFUNCTYPE(c_int)(entry(1))  # GetErrorCode
        self._message = PYFUNCTYPE(c_char_p)(entry(2))  # GetErrorMessage
        self.create_session: Function = _WORKING(entry(7))
        self.create_session_from_array: Function = _WORKING(entry(8))
        self.run: Function = _WORKING(entry(9))
        self.create_session_options: Function = _QUICK(entry(10))
        self.set_session_log_severity_level: Function = _QUICK(entry(22))
        self.set_session_graph_optimization_level: Function = _QUICK(entry(23))
        self.set_intra_op_num_threads: Function = _QUICK(entry(24))
        self.set_inter_op_num_threads: Function = _QUICK(entry(25))
        self.session_get_input_count: Function = _QUICK(entry(30))
        self.session_get_output_count: Function = _QUICK(entry(31))
        self.session_get_input_type_info: Function = _QUICK(entry(33))
        self.session_get_output_type_info: Function = _QUICK(entry(34))
        self.session_get_input_name: Function = _QUICK(entry(36))
        self.session_get_output_name: Function = _QUICK(entry(37))
        self.create_run_options: Function = _QUICK(entry(39))
        self.run_options_set_terminate: Function = _QUICK(entry(46))
        self.run_options_unset_terminate: Function = _QUICK(entry(47))
        self.create_tensor_as_ort_value: Function = _QUICK(entry(48))
        self.create_tensor_with_data_as_ort_value: Function = _QUICK(entry(49))
        self.get_tensor_mutable_data: Function = _QUICK(entry(51))
        self.fill_string_tensor: Function = _QUICK(entry(52))
        self.get_string_tensor_data_length: Function = _QUICK(entry(53))
        self.get_string_tensor_content: Function = _QUICK(entry(54))
        self.cast_type_info_to_tensor_info: Function = _QUICK(entry(55))
        self.get_tensor_element_type: Function = _QUICK(entry(60))
        self.create_cpu_memory_info: Function = _QUICK(entry(69))
        self.allocator_free: Function = _QUICK(entry(76))
        self.get_allocator_with_default_options: Function = _QUICK(entry(78))
        self._release_status: Function = _RELEASE(entry(93))
        self.release_memory_info: Function = _RELEASE(entry(94))
        self.release_session: Function = CFUNCTYPE(None)(entry(95))  # joins the session's threads
        self.release_value: Function = _RELEASE(entry(96))
        self.release_run_options: Function = _RELEASE(entry(97))
        self.release_type_info: Function = _RELEASE(entry(98))
        self.release_session_options: Function = _RELEASE(entry(100))
        self.add_session_config_entry: Function = _QUICK(entry(130))
        self.get_resized_string_tensor_element_buffer: Function = _QUICK(entry(252))
        self.get_tensor_element_type_and_shape_data_reference: Function = _QUICK(entry(414))
        self.environment = c_void_p()
        create_env = _WORKING(entry(3))
        self.check(create_env(ERRORS_ONLY, b"pilotlight", byref(self.environment)))

    def check(self, status: int | None) -> None:
        """Raise the OrtError that a status stands for, and release it."""
        if status is None:
            return
        held = c_void_p(status)
        code = self._code(held)
        message = self._message(held).decode(errors="replace")
        self.discard(status)
        raise OrtError(_CODES[code] if code < len(_CODES) else str(code), message)

    def discard(self, status: int | None) -> None:
        """Release a status whatever it says."""
        self._release_status(c_void_p(status))


def library(packages: Mapping[str, str]) -> Api:
    """The functions of the library in onnxruntime's wheel, which is found without importing that, telemetry off.

    Raises RuntimeMismatch where it is missing or not of the version that `packages` names, and OrtError where no
    environment can be made.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
    path = next(_candidates(), None)
    if path is None:
        raise RuntimeMismatch(
            f"the lock asks for onnxruntime {packages.get('onnxruntime', '')}, and no folder of sys.path has its "
            f"library {_FOLDER / _PATTERNS[0]}; install what requirements.lock pins"
        )
    base = _base(str(path))
    version = base.get_version_string().decode()
    check_version("onnxruntime", version, packages)
    return _api(base.get_api(API_VERSION))


def _base(path: str) -> _Base:
    handle = _OPEN(os.fsencode(path), os.RTLD_NOW)
    try:
        get_base = CDLL(path, handle=handle).OrtGetApiBase  # without a handle it says why there is none
    except (OSError, AttributeError) as error:
        raise RuntimeMismatch(f"the library {path} cannot be used: {error}") from error
    get_base.restype = POINTER(_Base)
    found: _Base = get_base().contents
    return found


_api = cache(Api)  # a table stays where it is, as does the library: nothing closes that


def _candidates() -> Iterator[Path]:
    for entry in sys.path:
        for pattern in _PATTERNS:
            yield from sorted((Path(entry) / _FOLDER).glob(pattern))
