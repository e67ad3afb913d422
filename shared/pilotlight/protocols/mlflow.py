"""MLflow's scoring server, whose routes are SageMaker's: data frames, tensors and CSV in, predictions out.

https://mlflow.org/docs/latest/deployment/deploy-model-locally#inference-server-specification
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight import __version__
from pilotlight.codec.body import read_body, read_fields, read_one_of
from pilotlight.codec.tables import column_order, read_inputs, read_table
from pilotlight.dataplane import DataPlane
from pilotlight.errors import InvalidRequest
from pilotlight.http.messages import Action, Answer, Request, Values
from pilotlight.model.json_document import describe
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor
from pilotlight.protocols.v1 import predict, without

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def _version(_plane: DataPlane, _request: Request, _values: Values) -> Answer:
    return Answer(200, {"name": "pilotlight", "version": __version__})


def _invoke(plane: DataPlane, request: Request, _values: Values) -> Answer:
    signature = plane.model.signature
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "text/csv":
        from pilotlight.codec import csv  # noqa: PLC0415 - few callers send it

        return predict(plane, request, csv.read(signature, request.headers, request.body))
    document = without(read_body(request.headers, request.body), "params", (None, {}), "this model accepts no ")
    form, value = read_one_of(document, _FORMS)
    if form == "dataframe_split":
        return predict(plane, request, _read_split(signature, value, f"$.{form}"))
    if form == "dataframe_records":
        _check_records(signature, value, f"$.{form}")
    if form == "inputs":
        return predict(plane, request, read_inputs(signature, value, "$.inputs"))
    return predict(plane, request, plane.read_instances(value, f"$.{form}", request.deadline))


def _read_split(signature: Signature, value: object, path: str) -> tuple[Tensor, ...]:
    """Read `columns`, the names, and `data`, row by row; `index`, the names of the rows, has no effect."""
    fields = read_fields(value, path, ("columns", "data"), ("index",))
    columns, data = fields["columns"], fields["data"]
    if not isinstance(columns, list):
        raise InvalidRequest(f"expected an array of names, found {describe(columns)}", f"{path}.columns")
    order = column_order(signature, columns, f"{path}.columns")
    if not isinstance(data, list) or not data:
        raise InvalidRequest(f"expected an array of at least one row, found {describe(data)}", f"{path}.data")
    for number, row in enumerate(data):
        place = f"{path}.data[{number}]"
        if not isinstance(row, list):
            raise InvalidRequest(f"expected an array of values, found {describe(row)}", place)
        if len(row) != len(columns):
            raise InvalidRequest(f"expected {len(columns)} values, found {len(row)}", place)
    index = fields.get("index")
    if "index" in fields and not (isinstance(index, list) and len(index) == len(data)):
        found = f"{len(index)} names" if isinstance(index, list) else describe(index)
        raise InvalidRequest(f"expected an array of {len(data)} row names, found {found}", f"{path}.index")
    return read_table(signature, order, data, lambda row, column: f"{path}.data[{row}][{column}]")


def _check_records(signature: Signature, value: object, path: str) -> None:
    if not signature.takes_features:
        raise InvalidRequest("this model has no named columns; send instances or inputs", path)
    for index, record in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(record, dict):
            raise InvalidRequest(f"expected an object by column, found {describe(record)}", f"{path}[{index}]")


ACTIONS: Mapping[str, Action] = {"/version": _version, "/invocations": _invoke}
