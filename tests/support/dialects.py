"""The same rows in every form in which a request may have them, and what a model that gives them back answers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cases import JSON
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import DATATYPES

Row: TypeAlias = dict[str, Any]

KINDS = {"city": "BYTES", "area": "FP64", "rooms": "INT64", "lift": "BOOL"}
MISSING = ("city", "area")

# A model that gives its columns back, each as an output of its own.
CELLS = Signature(
    tuple(Input(name, DATATYPES[kind], (-1, 1), "features", missing=name in MISSING) for name, kind in KINDS.items()),
    tuple(Output(f"{name}_out", DATATYPES[kind], (-1, 1), "tensor") for name, kind in KINDS.items()),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A form of a request: its path below a model's name, its headers, and its body for rows."""

    path: str
    body: Callable[[Sequence[Row]], bytes]
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)

    def predictions(self, document: Any) -> list[Any]:
        """Return the prediction for each row in a reply, an object by output name."""
        if "outputs" in document:
            columns = {output["name"]: output["data"] for output in document["outputs"]}
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return list(document["predictions"]) if "predictions" in document else [document["prediction"]]


def _values(rows: Sequence[Row]) -> list[list[Any]]:
    return [[row[name] for name in KINDS] for row in rows]


def _by_column(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in reversed(KINDS)}


def _split(rows: Sequence[Row]) -> dict[str, Any]:
    names = list(reversed(KINDS))
    return {"columns": names, "data": [[row[name] for name in names] for row in rows]}


def _v2(rows: Sequence[Row]) -> list[dict[str, Any]]:
    shape = [len(rows), 1]
    return [
        {"name": name, "datatype": kind, "shape": shape, "data": [row[name] for row in rows]}
        for name, kind in KINDS.items()
    ]


def _json(name: str, form: Callable[[Sequence[Row]], object]) -> Callable[[Sequence[Row]], bytes]:
    return lambda rows: json.dumps({name: form(rows)}).encode()


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    cells = {True: "true", False: "false"}
    written = csv.writer(text)
    written.writerow(KINDS)
    for values in _values(rows):
        written.writerow([cells[value] if isinstance(value, bool) else value for value in values])
    return text.getvalue().encode()


V1 = "/v1/models/{}:predict"

DIALECTS: dict[str, Dialect] = {
    "one row, as a list": Dialect("/predict", _json("features", lambda rows: _values(rows)[0])),
    "one row, by name": Dialect("/predict", _json("features", lambda rows: rows[0])),
    "a batch of lists": Dialect("/predict_batch", _json("instances", _values)),
    "a batch by name": Dialect("/predict_batch", _json("instances", list)),
    "V1 instances": Dialect(V1, _json("instances", _values)),
    "V1 inputs by column": Dialect(V1, _json("inputs", _by_column)),
    "V2 in JSON": Dialect("/v2/models/{}/infer", _json("inputs", _v2)),
    "a split frame": Dialect("/invocations", _json("dataframe_split", _split)),
    "records": Dialect("/invocations", _json("dataframe_records", list)),
    "MLflow's instances": Dialect("/invocations", _json("instances", list)),
    "MLflow's inputs": Dialect("/invocations", _json("inputs", _by_column)),
    "CSV": Dialect("/invocations", _csv, {"content-type": "text/csv"}),
}

FULL: Row = {"city": "Derby", "area": 50.5, "rooms": 3, "lift": True}

# What a row has, and what the model answers to it.
ACCEPTED: dict[str, tuple[Row, Row]] = {
    "a value in each": (FULL, FULL),
    "no area": (FULL | {"area": None}, FULL | {"area": None}),
    "no city": (FULL | {"city": None}, FULL | {"city": None}),
    "neither": (FULL | {"area": None, "city": None}, FULL | {"area": None, "city": None}),
    "a whole number with a point": (FULL | {"rooms": 4.0}, FULL | {"rooms": 4}),
    "a whole number for a float": (FULL | {"area": 50}, FULL | {"area": 50.0}),
    "false": (FULL | {"lift": False}, FULL | {"lift": False}),
}

# What a row has, and a part of the message.
REFUSED: dict[str, tuple[Row, str]] = {
    "no number of rooms": (FULL | {"rooms": None}, "INT64 has no missing values"),
    "no word on the lift": (FULL | {"lift": None}, "BOOL has no missing values"),
    "half a room": (FULL | {"rooms": 2.5}, "(INT64), found 2.5"),
    "rooms beyond what a double counts": (FULL | {"rooms": 2.0**53}, "write whole numbers from 2**53 on in digits"),
    "a word for an area": (FULL | {"area": "large"}, 'expected a number (FP64), found "large"'),
    "a number for a truth": (FULL | {"lift": 1}, "expected true or false, found "),
}
