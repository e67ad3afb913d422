"""ONNX Runtime's C API through ctypes: its library, the functions used here, and its errors.

The API is a table of function pointers whose order never changes once a version of it has shipped, so that an index
identifies a function. The order is that of `struct OrtApi` in include/onnxruntime/core/session/onnxruntime_c_api.h;
onnxruntime_c_api.cc asserts where the functions of each version end (GetErrorMessage 2, ReleaseCustomOpDomain 101,
SetGlobalSpinControl 149, GetBuildInfoString 254, ...). The tests call each of them.
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

# The first version of the API that has all of these functions. It came with ONNX Runtime 1.24; `LIBRARIES` in
# `model/formats.py` refuses older releases.
API_VERSION = 24

_FOLDER = Path("onnxruntime", "capi")
_PATTERNS = ("libonnxruntime.so.*", "libonnxruntime.*.dylib")

_CODES = (
    *("OK", "FAIL", "INVALID_ARGUMENT", "NO_SUCHFILE", "NO_MODEL", "ENGINE_ERROR", "RUNTIME_EXCEPTION"),
    *("INVALID_PROTOBUF", "MODEL_LOADED", "NOT_IMPLEMENTED", "INVALID_GRAPH", "EP_FAIL"),
)

# Without argument types ctypes passes arguments as they are: a pointer or a number has to be a ctypes object of the
# right width. A function that takes a microsecond keeps the interpreter's lock, which is cheaper than releasing it; a
# long-running one releases it.
_QUICK = PYFUNCTYPE(c_void_p)
_LONG = CFUNCTYPE(c_void_p)
_RELEASE = PYFUNCTYPE(None)

# `CDLL` holds the interpreter's lock while it opens a library: for 3 ms, or 70 ms from a cold disk. The fetch would
# stop for that long.
_OPEN = CFUNCTYPE(c_void_p, c_char_p, c_int)(("dlopen", CDLL(None)))

# Errors are raised, and need no line of their own on stderr.
NO_LOG = c_int(4)  # ORT_LOGGING_LEVEL_FATAL

Function = Callable[..., Any]


class OrtError(Exception):
    """An error of ONNX Runtime, with its own message and the name of its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class _Base(Structure):
    """`struct OrtApiBase`, which is all that the library exports."""

    _fields_: ClassVar = [
        ("get_api", CFUNCTYPE(c_void_p, c_uint32)),
        ("get_version_string", CFUNCTYPE(c_char_p)),
    ]


class Api:
    """The functions, by their names in the header. A status of None is success.

    `environment` is the one of all sessions of a process, and exists as long as the process. Creating it registers
    every operator: most of the time that `bench/onnx_engines.py` prints for the library.
    """

    def __init__(self, table: int, version: str) -> None:
        """Create the environment. Raises OrtError if that fails."""
        self.version = version

        def entry(index: int) -> int:
            return c_void_p.from_address(table + index * sizeof(c_void_p)).value or 0

        self._code = PYFUNCTYPE(c_int)(entry(1))  # GetErrorCode
        self._message = PYFUNCTYPE(c_char_p)(entry(2))  # GetErrorMessage
        self.create_session: Function = _LONG(entry(7))
        self.create_session_from_array: Function = _LONG(entry(8))
        self.run: Function = _LONG(entry(9))
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
        self.set_custom_create_thread_fn: Function = _QUICK(entry(196))
        self.set_custom_join_thread_fn: Function = _QUICK(entry(198))
        self.get_resized_string_tensor_element_buffer: Function = _QUICK(entry(252))
        self.get_tensor_element_type_and_shape_data_reference: Function = _QUICK(entry(414))
        self.environment = c_void_p()
        create_env = _LONG(entry(3))
        self.check(create_env(NO_LOG, b"pilotlight", byref(self.environment)))

    def check(self, status: int | None) -> None:
        """Raise a status as an OrtError, and release it."""
        if status is None:
            return
        pointer = c_void_p(status)
        code = self._code(pointer)
        message = self._message(pointer).decode(errors="replace")
        self.discard(status)
        from pilotlight.runtimes.onnx.refusals import cleaned  # noqa: PLC0415 - a start does not need it

        raise OrtError(_CODES[code] if code < len(_CODES) else str(code), cleaned(message))

    def discard(self, status: int | None) -> None:
        """Release a status without looking at it."""
        self._release_status(c_void_p(status))


def library(packages: Mapping[str, str]) -> Api:
    """Load the library in onnxruntime's wheel, without importing the package and with its telemetry off.

    Raises RuntimeMismatch if it is missing or not of the version in `packages`, and OrtError if no environment can be
    created.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
    path = library_path()
    if path is None:
        raise RuntimeMismatch(
            f"cannot find the library {_FOLDER / _PATTERNS[0]} of onnxruntime {packages.get('onnxruntime', '')} in any "
            "folder of sys.path; install the packages that requirements.lock pins"
        )
    base = _base(str(path))
    version = base.get_version_string().decode()
    check_version("onnxruntime", version, packages)
    return _api(base.get_api(API_VERSION), version)


def _base(path: str) -> _Base:
    handle = _OPEN(os.fsencode(path), os.RTLD_NOW)
    try:
        get_base = CDLL(path, handle=handle).OrtGetApiBase  # without a handle it raises the reason
    except (OSError, AttributeError) as error:
        raise RuntimeMismatch(f"cannot load the library {path}: {error}") from error
    get_base.restype = POINTER(_Base)
    base: _Base = get_base().contents
    return base


_api = cache(Api)  # the table never moves, and nothing closes the library


def library_path() -> Path | None:
    """Return the library in the first folder of sys.path that has one."""
    return next(_candidates(), None)


def _candidates() -> Iterator[Path]:
    for entry in sys.path:
        for pattern in _PATTERNS:
            yield from sorted((Path(entry) / _FOLDER).glob(pattern))
