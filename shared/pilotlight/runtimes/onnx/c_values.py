"""Tensors as ONNX Runtime's values and back, through the C API.

A place is an input or an output of a run. It keeps the arguments of its calls as ctypes objects, because creating them
takes longer than the calls.
"""

from __future__ import annotations

from array import array
from ctypes import (
    POINTER,
    PYFUNCTYPE,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_void_p,
    create_string_buffer,
    memmove,
    py_object,
    pythonapi,
    string_at,
)
from itertools import pairwise
from math import prod
from typing import Any, ClassVar

from pilotlight.errors import ModelError
from pilotlight.model.tensor import BYTES, Datatype, Strings, Tensor
from pilotlight.runtimes.onnx import type_name, type_of_code
from pilotlight.runtimes.onnx.c_library import Api, Function

# CPython's own functions, of its stable ABI.
_BYTES_FROM = PYFUNCTYPE(py_object)(("PyBytes_FromStringAndSize", pythonapi))
_GET_BUFFER = PYFUNCTYPE(c_int)(("PyObject_GetBuffer", pythonapi))
_RELEASE_BUFFER = PYFUNCTYPE(None)(("PyBuffer_Release", pythonapi))
_SIMPLE = c_int(0)  # PyBUF_SIMPLE: contiguous bytes, read-only

_CPU_ALLOCATOR, _CPU_MEMORY = c_int(0), c_int(0)  # OrtDeviceAllocator and OrtMemTypeDefault


class _Buffer(Structure):
    """`Py_buffer`."""

    _fields_: ClassVar = [
        *(("buf", c_void_p), ("obj", c_void_p), ("len", c_ssize_t), ("itemsize", c_ssize_t)),
        *(("readonly", c_int), ("ndim", c_int), ("format", c_char_p), ("shape", c_void_p)),
        *(("strides", c_void_p), ("suboffsets", c_void_p), ("internal", c_void_p)),
    ]


class Memory:
    """The memory of values: this process's own, and the allocator for values that ONNX Runtime creates."""

    def __init__(self, api: Api) -> None:
        """Create `info`, which the caller has to release. Raises OrtError."""
        self.info, self.allocator = c_void_p(), c_void_p()
        api.check(api.get_allocator_with_default_options(byref(self.allocator)))
        api.check(api.create_cpu_memory_info(_CPU_ALLOCATOR, _CPU_MEMORY, byref(self.info)))


class InputPlace:
    """An input of a run: a value over a tensor's memory, or with copies of its strings."""

    def __init__(self, api: Api, memory: Memory, datatype: Datatype, value: c_void_p) -> None:
        """`value` receives the address of the value."""
        self._api = api
        self._memory = memory
        self._datatype = datatype
        self._code = c_int(datatype.onnx_code)
        self._value = value
        self._pointer, self._length = c_void_p(), c_size_t()
        self._shape: tuple[int, ...] | None = None
        self._shape_arguments: tuple[Any, ...] = ()
        self._buffer = _Buffer()
        self._exported: object = None

    def fill(self, tensor: Tensor) -> None:
        """Create the value, valid until `clear` and as long as the tensor is. Raises OrtError."""
        data = tensor.data
        if tensor.shape != self._shape:
            self._reshape(tensor.shape)
        if isinstance(data, list):
            self._fill_strings(data)
            return
        if isinstance(data, array):
            self._pointer.value, count = data.buffer_info()
            self._length.value = count * data.itemsize
        else:
            self._export(data)
        status = self._api.create_tensor_with_data_as_ort_value(
            self._memory.info, self._pointer, self._length, *self._shape_arguments
        )
        if status is not None:
            self._api.check(status)

    def clear(self) -> None:
        """Release the value, if any, and its memory."""
        self._api.release_value(self._value)
        self._value.value = None
        if self._exported is not None:
            self._release_buffer()

    def _reshape(self, shape: tuple[int, ...]) -> None:
        """Prepare the arguments that depend on the shape alone."""
        dimensions = (c_int64 * len(shape))(*shape)
        self._shape_arguments = (dimensions, c_size_t(len(shape)), self._code, byref(self._value))
        self._shape = shape

    def _export(self, data: bytes | bytearray | memoryview) -> None:
        """Export the memory of bytes; they are copied if they are not aligned for the datatype."""
        self._get_buffer(data)
        if (self._buffer.buf or 0) % self._datatype.size:
            self._release_buffer()
            self._get_buffer(bytes(data))
        self._pointer.value = self._buffer.buf
        self._length.value = self._buffer.len

    def _get_buffer(self, data: bytes | bytearray | memoryview) -> None:
        _GET_BUFFER(py_object(data), byref(self._buffer), _SIMPLE)  # raises CPython's own error
        self._exported = data

    def _release_buffer(self) -> None:
        self._exported = None
        _RELEASE_BUFFER(byref(self._buffer))

    def _fill_strings(self, strings: Strings) -> None:
        api = self._api
        encoded = [string.encode() if string else b"" for string in strings]  # ONNX has no missing string
        count = len(encoded)
        api.check(api.create_tensor_as_ort_value(self._memory.allocator, *self._shape_arguments))
        if not any(b"\0" in string for string in encoded):
            api.check(api.fill_string_tensor(self._value, (c_char_p * count)(*encoded), c_size_t(count)))
            return
        place = c_void_p()  # in C a string ends at a NUL, so these are copied one by one
        for index, string in enumerate(encoded):
            length = c_size_t(len(string))
            api.check(api.get_resized_string_tensor_element_buffer(self._value, c_size_t(index), length, byref(place)))
            memmove(place, string, len(string))


class OutputPlace:
    """An output of a run: a value that ONNX Runtime creates, from which a tensor is copied."""

    def __init__(self, api: Api, name: str, datatype: Datatype, value: c_void_p) -> None:
        """`value` receives the address of the value."""
        self._api = api
        self._name = name
        self._datatype = datatype
        self._expected = datatype.onnx_code
        self._value = value
        self._code, self._rank = c_int(), c_size_t()
        self._dimensions = POINTER(c_int64)()
        self._pointer, self._length = c_void_p(), c_size_t()
        self._size = c_ssize_t()
        self._describe = (value, byref(self._code), byref(self._dimensions), byref(self._rank))
        self._locate = (value, byref(self._pointer))
        self._measure = (value, byref(self._length))
        self._reserve(64, 1)

    def read(self) -> Tensor:
        """Return a copy of the value. Raises OrtError, or ModelError for another type than the signature's."""
        api, datatype = self._api, self._datatype
        status = api.get_tensor_element_type_and_shape_data_reference(*self._describe)
        if status is not None:
            api.check(status)
        if self._code.value != self._expected:
            raise ModelError(
                f"the output {self._name!r} has the type {type_of_code(self._code.value)}; the signature expects "
                f"{type_name(datatype)}"
            )
        rank = self._rank.value
        shape = tuple(self._dimensions[:rank]) if rank else ()
        if datatype is BYTES:
            return Tensor(datatype, shape, self._strings(prod(shape)))
        status = api.get_tensor_mutable_data(*self._locate)
        if status is not None:
            api.check(status)
        self._size.value = prod(shape) * datatype.size
        return Tensor(datatype, shape, _BYTES_FROM(self._pointer, self._size))

    def clear(self) -> None:
        """Release the value, if any."""
        self._api.release_value(self._value)
        self._value.value = None

    def _reserve(self, length: int, count: int) -> None:
        """Allocate room for so many bytes and so many strings."""
        self._content, self._offsets = create_string_buffer(length), (c_size_t * count)()
        self._copy_strings = (self._value, self._content, self._length, self._offsets, self._size)

    def _strings(self, count: int) -> list[str]:
        if not count:
            return []
        api = self._api
        api.check(api.get_string_tensor_data_length(*self._measure))
        length = self._length.value
        if length > len(self._content) or count > len(self._offsets):
            self._reserve(2 * length + 1, 2 * count)
        self._size.value = count
        api.check(api.get_string_tensor_content(*self._copy_strings))
        self._size.value = length
        raw: bytes = _BYTES_FROM(self._content, self._size)
        if count == 1:
            return [raw.decode()]
        ends = pairwise((*self._offsets[:count], length))
        if raw.isascii():
            text = raw.decode("ascii")
            return [text[start:end] for start, end in ends]
        return [raw[start:end].decode() for start, end in ends]


class Nodes:
    """A session's inputs and outputs. Every method may raise OrtError."""

    def __init__(self, api: Api, memory: Memory, session: c_void_p) -> None:
        self._api = api
        self._allocator = memory.allocator
        self._session = session

    def inputs(self) -> dict[str, str]:
        """Return the type of each input by its name."""
        api = self._api
        return self._all(api.session_get_input_count, api.session_get_input_name, api.session_get_input_type_info)

    def outputs(self) -> dict[str, str]:
        """Return the type of each output by its name."""
        api = self._api
        return self._all(api.session_get_output_count, api.session_get_output_name, api.session_get_output_type_info)

    def _all(self, count: Function, name: Function, type_info: Function) -> dict[str, str]:
        length = c_size_t()
        self._api.check(count(self._session, byref(length)))
        return {self._name(name, index): self._type(type_info, index) for index in range(length.value)}

    def _name(self, function: Function, index: int) -> str:
        text = c_void_p()
        self._api.check(function(self._session, c_size_t(index), self._allocator, byref(text)))
        try:
            return string_at(text.value or 0).decode()
        finally:
            self._api.check(self._api.allocator_free(self._allocator, text))

    def _type(self, function: Function, index: int) -> str:
        info, tensor, code = c_void_p(), c_void_p(), c_int()
        self._api.check(function(self._session, c_size_t(index), byref(info)))
        try:
            self._api.check(self._api.cast_type_info_to_tensor_info(info, byref(tensor)))
            if not tensor:
                return "a type other than a tensor"
            self._api.check(self._api.get_tensor_element_type(tensor, byref(code)))
            return type_of_code(code.value)
        finally:
            self._api.release_type_info(info)
