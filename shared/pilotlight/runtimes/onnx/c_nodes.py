"""What a session of the C API takes and gives: names and ONNX's names of types."""

from __future__ import annotations

from ctypes import byref, c_int, c_size_t, c_void_p, string_at

from pilotlight.runtimes.onnx.c_library import Api, Function
from pilotlight.runtimes.onnx.c_values import Memory
from pilotlight.runtimes.onnx.types import type_of_code


class Nodes:
    """A session's inputs and outputs. Every method raises OrtError where the library refuses."""

    def __init__(self, api: Api, memory: Memory, session: c_void_p) -> None:
        self._api = api
        self._allocator = memory.allocator
        self._session = session

    def inputs(self) -> dict[str, str]:
        """The type of each input by its name."""
        api = self._api
        return self._all(api.session_get_input_count, api.session_get_input_name, api.session_get_input_type_info)

    def outputs(self) -> dict[str, str]:
        """The type of each output by its name."""
        api = self._api
        return self._all(api.session_get_output_count, api.session_get_output_name, api.session_get_output_type_info)

    def _all(self, count: Function, name: Function, type_info: Function) -> dict[str, str]:
        number = c_size_t()
        self._api.check(count(self._session, byref(number)))
        return {self._name(name, index): self._type(type_info, index) for index in range(number.value)}

    def _name(self, function: Function, index: int) -> str:
        found = c_void_p()
        self._api.check(function(self._session, c_size_t(index), self._allocator, byref(found)))
        try:
            return string_at(found.value or 0).decode()
        finally:
            self._api.check(self._api.allocator_free(self._allocator, found))

    def _type(self, function: Function, index: int) -> str:
        info, tensor, code = c_void_p(), c_void_p(), c_int()
        self._api.check(function(self._session, c_size_t(index), byref(info)))
        try:
            self._api.check(self._api.cast_type_info_to_tensor_info(info, byref(tensor)))
            if not tensor:
                return "something else than a tensor"
            self._api.check(self._api.get_tensor_element_type(tensor, byref(code)))
            return type_of_code(code.value)
        finally:
            self._api.release_type_info(info)
