"""Tensors, shapes and names: documents that are JSON and say something that the model's signature does not."""

from __future__ import annotations

from typing import Any

from catalogue.building import CSV, FEATURES, FLAT, INFER, PREDICT, ROW, Wrong, echo, echoed, table, wrong

_MATRIX: dict[str, Any] = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": ROW}
_SAMPLE = "/v2/models/breast-cancer/infer"


def _infer(name: str, document: object, place: str | None, message: str = "") -> Wrong:
    return wrong("breast-cancer", name, document, place, message, path=_SAMPLE)


def _matrix(name: str, changes: dict[str, Any], place: str, message: str = "") -> Wrong:
    entry = {field: value for field, value in (_MATRIX | changes).items() if value is not None}
    return _infer(name, {"inputs": [entry]}, place, message)


def _output(name: str, outputs: object, place: str, message: str = "") -> Wrong:
    return _infer(name, {"inputs": [_MATRIX], "outputs": outputs}, place, message)


_NO_TENSORS: tuple[Any, ...] = (1, None, [])
_NO_ARRAYS: tuple[Any, ...] = (1, "1", {}, False)
_NO_NAMES: tuple[Any, ...] = (0, [], True)
_DATATYPES: tuple[Any, ...] = ("fp32", "BOOL", "FLOAT", "BYTES", 32, [])

TENSORS: list[Wrong] = [
    _infer("no inputs", {}, "$", 'the field "inputs" is missing'),
    _infer("null for the inputs", {"inputs": None}, "$.inputs", "expected an array of tensors"),
    _infer("an object for the inputs", {"inputs": _MATRIX}, "$.inputs", "expected an array of tensors"),
    _infer("an empty list of inputs", {"inputs": []}, "$.inputs", 'the input "features" is missing'),
    *(
        _infer(f"{item!r} for an input", {"inputs": [item]}, "$.inputs[0]", "expected an object")
        for item in _NO_TENSORS
    ),
    *(
        _matrix(f"an input without its {field}", {field: None}, "$.inputs[0]", f'the field "{field}" is missing')
        for field in _MATRIX
    ),
    _matrix("an input with a field too many", {"dtype": "FP32"}, "$.inputs[0]", 'unknown field "dtype"'),
    *(
        _matrix(f"the datatype {datatype!r}", {"datatype": datatype}, "$.inputs[0].datatype", 'expected "FP32" for')
        for datatype in _DATATYPES
    ),
    *(
        _matrix(
            f"{value!r} as {datatype}, which FP32 does not hold",
            {"datatype": datatype, "data": [*ROW[:-1], value]},
            "$.inputs[0].data[29]",
            f"expected FP32, found {value!r} as {datatype}",
        )
        for datatype, value in (("FP64", 0.1), ("INT64", 2**24 + 1), ("UINT32", 2**32 - 1))
    ),
    *(
        _matrix(f"{data!r} for data", {"data": data}, "$.inputs[0].data", "expected an array of values")
        for data in _NO_ARRAYS
    ),
    _matrix("a list of parameters", {"parameters": []}, "$.inputs[0].parameters", "expected an object"),
    _matrix("a parameter that is a list", {"parameters": {"x": []}}, "$.inputs[0].parameters", "expected a string"),
    _matrix(
        "a tensor in shared memory",
        {"data": None, "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 120}},
        "$.inputs[0].parameters.shared_memory_region",
        "shared memory is not supported",
    ),
    echoed(
        "half floats in JSON",
        "FP16",
        {"parameters": None, "shape": [1, 1], "data": [1]},
        "$.inputs[0].data",
        "FP16 has",
    ),
    echoed("half floats asked for in JSON", outputs=[{"name": "out_FP16"}], place="$.outputs[0]", message="the output"),
    echoed("all outputs in JSON, half floats too", outputs=[], place="$", message='the output "out_FP16"'),
    _infer("a number for an id", {"inputs": [_MATRIX], "id": 7}, "$.id", "expected a string"),
    _infer(
        "a list of parameters of all", {"inputs": [_MATRIX], "parameters": []}, "$.parameters", "expected an object"
    ),
    _infer(
        "a word for whether outputs are bytes",
        {"inputs": [_MATRIX], "parameters": {"binary_data_output": "yes"}},
        "$.parameters.binary_data_output",
        "expected true or false",
    ),
    _infer("a field too many", {"inputs": [_MATRIX], "model": "x"}, "$", 'unknown field "model"'),
    _infer(
        "another model",
        {"inputs": [_MATRIX], "model_name": "x"},
        "$.model_name",
        'this function serves "breast-cancer"',
    ),
    _infer(
        "another version", {"inputs": [_MATRIX], "model_version": "2"}, "$.model_version", 'this function serves "1"'
    ),
    _output("an object for the outputs", {}, "$.outputs", "expected an array"),
    _output("a name for an output", ["label"], "$.outputs[0]", "expected an object"),
    _output("an output without a name", [{}], "$.outputs[0]", 'the field "name" is missing'),
    _output("an output with data", [{"name": "label", "data": []}], "$.outputs[0]", 'unknown field "data"'),
    *(
        _output(
            f"the parameter {name}", [{"name": "label", "parameters": {name: value}}], f"$.outputs[0].parameters.{name}"
        )
        for name, value in (("classification", 2), ("shared_memory_region", "r"), ("binary_data", 1))
    ),
    wrong(
        "breast-cancer",
        "instances and inputs",
        {"instances": [ROW], "inputs": [ROW]},
        "$",
        "expected exactly one",
        path=PREDICT,
    ),
    wrong("breast-cancer", "neither instances nor inputs", {}, "$", "expected exactly one", path=PREDICT),
    wrong(
        "breast-cancer", "an object for instances", {"instances": {}}, "$.instances", "expected an array", path=PREDICT
    ),
    wrong(
        "rents", "parameters for MLflow", {**table(), "params": {"a": 1}}, "$.params", "this model", path="/invocations"
    ),
    wrong("rents", "a list for a frame", {"dataframe_split": []}, "$.dataframe_split", "expected", path="/invocations"),
    wrong(
        "rents",
        "lists for records",
        {"dataframe_records": [[]]},
        "$.dataframe_records[0]",
        "expected",
        path="/invocations",
    ),
]

_SHAPES: tuple[Any, ...] = ([], [1], [1, 1, 1], [1] * 40)

SHAPES: list[Wrong] = [
    *(
        echoed(f"the shape {shape!r:.30}", "INT8", {"shape": shape}, "$.inputs[0].shape", "expected the shape")
        for shape in _SHAPES
    ),
    *(
        echoed(
            f"the length {length!r}", "INT8", {"shape": [1, length]}, "$.inputs[0].shape[1]", "expected a whole number"
        )
        for length in (-1, 1.0, True, "1", None, [1])
    ),
    *(
        echoed(f"{shape!r} for a shape", "INT8", {"shape": shape}, "$.inputs[0].shape", "expected an array")
        for shape in _NO_ARRAYS
    ),
    echoed("a scalar as a vector", "scalar", {"shape": [1]}, "$.inputs[0].shape", "expected the shape []"),
    echoed("a scalar of two values", "scalar", {"data": [1, 2]}, "$.inputs[0].data", "expected 1 values"),
    echoed(
        "a shape beyond all memory",
        "INT8",
        {"shape": [10**9, 10**9]},
        "$.inputs[0].data",
        "expected 1000000000000000000 ",
    ),
    echoed(
        "strings beyond all memory",
        "BYTES",
        {"shape": [10**9, 10**9]},
        "$.inputs[0].data",
        "expected 1000000000000000000 ",
    ),
    *(
        echoed(
            f"an empty tensor of the shape {shape!r}",
            datatype,
            {"shape": shape, "data": []},
            "$.inputs[0].shape",
            "expected lengths whose product is at most 2147483647",
        )
        for datatype, shape in (
            ("INT8", [0, 2**31]),
            ("INT8", [0, 2**63]),
            ("BYTES", [0, 2**63]),
            ("INT8", [0, 2**70]),
            ("FP32", [2**62, 0]),
        )
    ),
    echoed("one value too few", "INT8", {"shape": [2, 2], "data": [1, 2, 3]}, "$.inputs[0].data", "expected 4 values"),
    echoed("one value too many", "INT8", {"shape": [2, 2], "data": [1] * 5}, "$.inputs[0].data", "expected 4 values"),
    echoed("values in an empty tensor", "INT8", {"shape": [0, 2]}, "$.inputs[0].data", "expected 0 values"),
    echoed(
        "a ragged matrix", "INT8", {"shape": [2, 2], "data": [[1, 2], [3]]}, "$.inputs[0].data[1]", "expected 2 items"
    ),
    echoed("a row too few", "INT8", {"shape": [2, 2], "data": [[1, 2]]}, "$.inputs[0].data", "expected 2 items"),
    echoed(
        "a row in a row", "INT8", {"shape": [1, 2], "data": [[1, [2]]]}, "$.inputs[0].data[0][1]", "expected a value"
    ),
    echoed(
        "a row, then a value", "INT8", {"shape": [2, 1], "data": [[1], 2]}, "$.inputs[0].data[1]", "expected an array"
    ),
    echoed(
        "a value, then a row", "INT8", {"shape": [2, 1], "data": [1, [2]]}, "$.inputs[0].data[1]", "expected a whole"
    ),
    _matrix("29 features", {"shape": [1, 29]}, "$.inputs[0].shape", "expected the shape [any, 30]"),
    _matrix("a row without a batch", {"shape": [30]}, "$.inputs[0].shape", "expected the shape [any, 30]"),
    _matrix("no rows at all", {"shape": [0, 30], "data": []}, "$.inputs[0].shape", "expected at least one row"),
    wrong(
        "rents",
        "columns of several lengths",
        {
            "inputs": [
                {"name": "city", "datatype": "BYTES", "shape": [2], "data": ["Derby", "Derby"]},
                *({"name": name, "datatype": "FP32", "shape": [1], "data": [1]} for name in ("rooms", "area", "floor")),
            ]
        },
        "$.inputs[1].shape",
        'expected 2 rows, as in "city", found 1',
        path="/v2/models/rents/infer",
    ),
    wrong(
        "rents",
        "a frame with a short row",
        table(data=[[1]]),
        "$.dataframe_split.data[0]",
        "expected 4 values",
        path="/invocations",
    ),
    wrong(
        "rents",
        "a frame with no rows",
        table(data=[]),
        "$.dataframe_split.data",
        "expected an array",
        path="/invocations",
    ),
    wrong(
        "breast-cancer", "a batch of no rows", {"instances": []}, "$.instances", "expected at least one", path=PREDICT
    ),
    wrong(
        "breast-cancer", "rows in rows", {"instances": [[ROW]]}, "$.instances[0]", "expected 30 features", path=PREDICT
    ),
    wrong(
        "breast-cancer",
        "a short column",
        {"inputs": {name: [1] * (2 if name == "mean area" else 1) for name in FEATURES}},
        '$.inputs["mean area"]',
        'expected 1 values, as in "mean radius", found 2',
        path=PREDICT,
    ),
]


def _renamed(names: dict[str, str]) -> list[str]:
    return [names.get(name, name) for name in FLAT]


NAMES: list[Wrong] = [
    *(
        _matrix(f"the input {name!r}", {"name": name}, "$.inputs[0].name", 'unknown input "')
        for name in ("feature", "Features", "features ", "", "label", "in\0put")
    ),
    *(
        _matrix(f"{name!r:.20} for a name", {"name": name}, "$.inputs[0].name", "expected a string")
        for name in _NO_NAMES
    ),
    _infer("an input twice", {"inputs": [_MATRIX, _MATRIX]}, "$.inputs[1].name", 'duplicate name "features"'),
    _infer(
        "a matrix with one of its columns",
        {"inputs": [_MATRIX, {"name": FEATURES[0], "datatype": "FP32", "shape": [1], "data": [1]}]},
        "$.inputs[1].name",
        "unknown input",
    ),
    _infer(
        "one column alone",
        {"inputs": [{"name": FEATURES[0], "datatype": "FP32", "shape": [1], "data": [1]}]},
        "$.inputs",
        f'the input "{FEATURES[1]}" is missing',
    ),
    wrong(
        "echo",
        "an input too few",
        {**echo(), "inputs": echo()["inputs"][1:]},
        "$.inputs",
        "",
        path=INFER,
    ),
    _output("an output that there is not", [{"name": "labels"}], "$.outputs[0].name", "unknown output"),
    _output("an input for an output", [{"name": "features"}], "$.outputs[0].name", "unknown output"),
    _output("an output twice", [{"name": "label"}] * 2, "$.outputs[1].name", 'duplicate name "label"'),
    _output("null for an output's name", [{"name": None}], "$.outputs[0].name", "expected a string"),
    wrong("rents", "a feature too many", {"features": FLAT | {"garden": 1}}, "$.features", 'unknown feature "garden"'),
    wrong(
        "rents", "a feature too few", {"features": {"city": "Derby"}}, "$.features", 'the feature "rooms" is missing'
    ),
    wrong(
        "rents",
        "a frame's column twice",
        table(columns=_renamed({"floor": "area"})),
        "$.dataframe_split.columns",
        'duplicate column "area"',
        path="/invocations",
    ),
    wrong(
        "rents",
        "a frame's unknown column",
        table(columns=_renamed({"floor": "level"})),
        "$.dataframe_split.columns",
        'unknown column "level"',
        path="/invocations",
    ),
    wrong(
        "rents",
        "a frame's missing column",
        table(columns=["city"], data=[["Derby"]]),
        "$.dataframe_split.columns",
        'the column "rooms" is missing',
        path="/invocations",
    ),
    wrong(
        "rents",
        "a record's unknown column",
        {"dataframe_records": [FLAT | {"level": 1}]},
        "$.dataframe_records[0]",
        'unknown feature "level"',
        path="/invocations",
    ),
    wrong(
        "rents",
        "CSV with an unknown column",
        b"city,rooms,area,level\nDerby,1,1,1\n",
        None,
        'unknown column "level"',
        path="/invocations",
        headers=CSV,
    ),
    wrong(
        "rents",
        "CSV with a name in blanks",
        b"city, rooms,area,floor\nDerby,1,1,1\n",
        None,
        'unknown column " rooms"',
        path="/invocations",
        headers=CSV,
    ),
    wrong("breast-cancer", "a field for another route", {"instances": [ROW]}, "$", 'the field "features" is missing'),
    wrong("breast-cancer", "a field in capitals", {"Features": ROW}, "$", 'the field "features" is missing'),
]
