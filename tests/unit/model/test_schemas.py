"""The JSON Schemas and the readers say the same: documents that are wrong in one place or two get one verdict."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nextafter
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import descriptions
from pilotlight.drift.reference import read_reference, write_reference
from pilotlight.errors import FormatError
from pilotlight.experiments.lock import read_experiment, write_experiment
from pilotlight.model.formats import ENGINES, FORMATS, LIBRARIES
from pilotlight.model.golden import read_golden, write_golden
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.lock import read_lock, write_lock
from pilotlight.model.signature import Input, Output, Signature, read_signature, write_signature
from pilotlight.model.tensor import DATATYPES, FP32, Datatype
from pilotlight.shadow.lock import read_shadow, write_shadow
from pilotlight_cli.assets import ROOT
from pilotlight_cli.registry.manifest import Alias, Manifest, read_alias, read_manifest, write_alias, write_manifest
from properties import given, settings, st

SCHEMAS = ROOT / "shared" / "schema"

# What JSON Schema cannot say, or cannot say readably: here a reader may refuse what the schema lets pass. Never the
# other way round. shared/schema/README.md lists the same rules.
READERS_ONLY = {
    "no duplicate name": r"files: duplicate file name|puts: duplicate name",
    "a whole number has no fraction, not even .0": r"a whole number.*, found -?\d+\.0",
    "a number fits a double": r"a number in the range of a double|(tolerance|range).*very large number",
    "a range goes from low to high": r"expected \[lowest, highest\]",
    "all inputs are features, or none": r"expected the role features for all inputs",
    "one label, one probabilities": r"more than one output has the role",
    "feature names belong to the role features": r"only an input with the role features",
    "feature names are as many as columns": r"feature names require a single input",
    "an input without feature names is one column": r"must be one column, of shape",
    "only floats and strings may be missing": r"has no missing values; expected a float or BYTES",
    "methods are as many as outputs": r"found \d+ methods, expected one for each",
    "a label is one for each instance": r"expected one label for each|the label .* is not valid for",
    "probabilities have a column for each label": r"expected probabilities as floats of shape",
    "a treatment is a further version": r"expected (a further|another) version of",
    "no bucket has two treatments": r"the buckets .* overlap|expected \[first, end\] with first below end",
    "an end is after the start": r"expected a time after the start",
    "columns are the model's": r"\$\.columns: found .*, expected .* as the model has",
    "edges go up": r"expected numbers in ascending order",
    "counts are as many as bins": r"found \d+ counts, expected one for each",
    "data is as much as its shape holds": r"holds (\d+|a very large number) values, found",
    "a string has no unpaired surrogates": r"a string without unpaired surrogates",
}


@dataclass(frozen=True)
class Format:
    """A schema, the reader for the same documents, and documents that both accept."""

    schema: str
    read: Callable[[bytes], object]
    documents: tuple[dict[str, object], ...]

    def validator(self) -> Draft202012Validator:
        schemas = [json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")]
        registry = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas])
        return Draft202012Validator({"$ref": self.schema}, registry=registry)


MODELS = (
    descriptions.onnx_model(),
    descriptions.onnx_model(descriptions.TENSORS),
    descriptions.optimised_model(),
    descriptions.measured_model(),
    descriptions.pickled_model(),
    descriptions.transformer(),
)
NAMELESS = Signature((Input("x", FP32, (-1, 3), "features"),), (Output("y", FP32, (-1,), "tensor"),))
FORMATS_BY_NAME = {
    "lock": Format(
        "lock.schema.json",
        read_lock,
        tuple(write_lock(lock) for lock in (*map(descriptions.lock, MODELS), *descriptions.said_locks())),
    ),
    "manifest": Format(
        "manifest.schema.json",
        read_manifest,
        (
            *(write_manifest(Manifest(model, descriptions.CREATED_AT)) for model in MODELS),
            write_manifest(Manifest(MODELS[0], descriptions.CREATED_AT, "oci://registry.example.com/iris@sha256:0")),
        ),
    ),
    "golden": Format(
        "golden.schema.json",
        read_golden,
        tuple(write_golden(descriptions.golden(datatype)) for datatype in DATATYPES.values()),
    ),
    "experiment": Format(
        "experiment.schema.json", read_experiment, tuple(map(write_experiment, descriptions.experiments()))
    ),
    "shadow": Format("shadow.schema.json", read_shadow, tuple(map(write_shadow, descriptions.shadows()))),
    "reference": Format(
        "reference.schema.json",
        lambda content: read_reference(content, descriptions.CLASSIFIER),
        (write_reference(descriptions.reference()),),
    ),
    "alias": Format("alias.schema.json", read_alias, (write_alias(Alias("production", 3)),)),
    "signature": Format(
        "signature.schema.json",
        lambda content: read_signature(Node(read_json(content))),
        tuple(write_signature(one) for one in (*(model.signature for model in MODELS), NAMELESS)),
    ),
}

VALUES: tuple[object, ...] = (
    *(None, True, False, 0, 1, -1, -2, 2, 7, 1.0, 1.5, -0.5, 2**70, 10**400, 1e-300, 65519.9, 65520.0, -1e39),
    *("", "x", "A b", "../x", "a.b", "golden.json", "model.onnx", "numpy", "1.2.3", "0" * 64, "g" * 64, "a" * 200),
    "\ud800",
    *(
        "all",
        "off",
        "label",
        "features",
        "tensor",
        "probabilities",
        "FP64",
        "INT8",
        "BYTES",
        "onnx",
        "pickle",
        "sklearn",
    ),
    *("control", "random", "request", "header:x-user-id", "field:user_id", "claim:sub", "header:X"),
    *(descriptions.CREATED_AT, "2026-13-31T12:00:00Z", "2026-07-31 12:00:00"),
    *(
        [],
        [1],
        [1, 0],
        [0, 1],
        [0, 10_000],
        [0, 10_001],
        [1, 2, 3],
        ["a", "a"],
        [[]],
        {},
        {"x": 1},
        {"numpy": "2"},
        {"Numpy": "2", "numpy": "2.0"},
    ),
)


def verdict(format_: Format, validator: Draft202012Validator, document: object) -> str | None:
    """Return the name of the rule that only the reader knows, None where both agree. Anything else is a failure."""
    allowed = validator.is_valid(document)
    try:
        format_.read(json.dumps(document).encode())
    except FormatError as error:
        if not allowed:
            return None
        rules = [name for name, pattern in READERS_ONLY.items() if re.search(pattern, str(error))]
        assert rules, f"the schema accepts what the reader refuses with: {error}\n{json.dumps(document)[:2000]}"
        return rules[0]
    assert allowed, f"the reader accepts what the schema refuses: {json.dumps(document)[:2000]}"
    return None


Place = tuple[str | int, ...]


def places(value: object, path: Place = ()) -> Iterator[Place]:
    """Every place in a document."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def own_places(name: str, number: int, document: dict[str, object]) -> Iterator[Place]:
    """Return the places of a format's document of that number, less those that are changed in another document too."""
    for path in places(document):
        if name == "golden":
            skipped = number > 0 and "data" not in path
        else:
            of_another = name == "manifest" or (
                name == "lock" and (path[:1] == ("signature",) or number == len(MODELS))
            )
            skipped = len(path) > 1 and of_another and path[0] != "signer"
            if name == "experiment":
                skipped = path[:1] == ("treatments",) and len(path) > 3 and path[2] != "buckets"
            if name == "shadow":
                skipped = path[:1] == ("model",) and len(path) > 2
        if not skipped:
            yield path


Change = Callable[[Any, Any], None]  # gets what holds the place, and the place's name in it


def put(value: object) -> Change:
    return lambda holder, key: holder.__setitem__(key, copy.deepcopy(value))


def drop(holder: Any, key: Any) -> None:
    del holder[key]


def repeat(holder: Any, key: Any) -> None:
    if isinstance(holder[key], list) and holder[key]:
        holder[key].append(copy.deepcopy(holder[key][0]))


def add_field(holder: Any, key: Any) -> None:
    if isinstance(holder[key], dict):
        holder[key]["surplus"] = 1


def add_another(holder: Any, key: Any) -> None:
    if isinstance(holder[key], dict) and holder[key]:
        holder[key]["Odd Name"] = next(iter(holder[key].values()))


def reverse(holder: Any, key: Any) -> None:
    if isinstance(holder[key], list):
        holder[key].reverse()


CHANGES: tuple[Change, ...] = (drop, repeat, add_field, add_another, reverse, *(put(value) for value in VALUES))


def changed(document: object, path: Place, change: Change) -> Any:
    """Return a copy of the document with one place changed."""
    root = {"document": copy.deepcopy(document)}
    holder: Any = root
    steps: Place = ("document", *path)
    for step in steps[:-1]:
        holder = holder[step]
    change(holder, steps[-1])
    return root.get("document")


@pytest.mark.parametrize("name", FORMATS_BY_NAME)
def test_what_the_writers_write_is_accepted(name: str) -> None:
    format_ = FORMATS_BY_NAME[name]
    for document in format_.documents:
        format_.validator().validate(document)
        format_.read(json.dumps(document).encode())


def test_one_change_anywhere_gets_the_same_verdict() -> None:
    rules = set()
    for name, format_ in FORMATS_BY_NAME.items():
        validator = format_.validator()
        for number, document in enumerate(format_.documents):
            for path in own_places(name, number, document):
                rules |= {verdict(format_, validator, changed(document, path, change)) for change in CHANGES}
    assert rules - {None} == set(READERS_ONLY), "every exception is needed, and seen to be"


RAW = ["1e999", "-1e999", "9" * 5000, "NaN", "-Infinity", '"\\ud800"', '"\\udfff\\ud800"', "[" * 100_000]


@pytest.mark.parametrize("name", FORMATS_BY_NAME)
@pytest.mark.parametrize("raw", RAW, ids=lambda raw: raw[:12])
def test_what_no_program_can_hold_is_a_format_error_everywhere(name: str, raw: str) -> None:
    format_ = FORMATS_BY_NAME[name]
    document = format_.documents[0]
    for path in places(document):
        text = json.dumps(changed(document, path, put("here"))).replace('"here"', raw)
        with pytest.raises(FormatError) as caught:
            format_.read(text.encode())
        str(caught.value).encode()


@pytest.mark.parametrize("name", FORMATS_BY_NAME)
def test_half_a_character_in_a_field_s_name_is_a_format_error(name: str) -> None:
    format_ = FORMATS_BY_NAME[name]
    with pytest.raises(FormatError, match=r"unknown field '\\ud800'"):
        format_.read(json.dumps({**format_.documents[0], "\ud800": 1}).encode())


@pytest.mark.parametrize(("datatype", "label"), [("INT64", 2**63), ("UINT8", 256), ("UINT8", -1), ("INT32", 2**70)])
def test_a_label_is_one_that_its_datatype_holds(datatype: str, label: int) -> None:
    signature = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1], "role": "features"}],
        "outputs": [{"name": "y", "datatype": datatype, "shape": [-1], "role": "label"}],
        "labels": [0, label],
    }
    with pytest.raises(FormatError, match=f"the label {label} is not valid for {datatype}"):
        read_signature(Node(signature))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_several_changes_get_the_same_verdict(data: st.DataObject) -> None:
    format_ = FORMATS_BY_NAME[data.draw(st.sampled_from(sorted(FORMATS_BY_NAME)))]
    document: Any = data.draw(st.sampled_from(format_.documents))
    for _ in range(data.draw(st.integers(2, 4))):
        path = data.draw(st.sampled_from(list(places(document))))
        document = changed(document, path, data.draw(st.sampled_from(CHANGES)))
    verdict(format_, format_.validator(), document)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_a_schema_is_a_schema_and_its_name_is_its_id(path: Path) -> None:
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == path.name


@pytest.mark.parametrize(
    "datatype", [datatype for datatype in DATATYPES.values() if datatype.is_integer], ids=lambda datatype: datatype.name
)
def test_whole_numbers_end_where_their_datatype_does(datatype: Datatype) -> None:
    format_ = FORMATS_BY_NAME["golden"]
    document = write_golden(descriptions.golden(datatype))
    for value in (datatype.low - 1, datatype.high + 1):
        beyond = changed(document, ("samples", 0, "inputs", 0, "data", 0), put(value))
        assert not format_.validator().is_valid(beyond)
        with pytest.raises(FormatError, match=rf"a whole number from .* \({datatype.name}\)"):
            format_.read(json.dumps(beyond).encode())


@pytest.mark.parametrize(
    ("datatype", "bound"),
    [("FP16", 65520.0), ("BF16", float(2**128 - 2**119)), ("FP32", float(2**128 - 2**103))],
)
def test_floats_end_where_their_datatype_would_make_them_infinite(datatype: str, bound: float) -> None:
    format_ = FORMATS_BY_NAME["golden"]
    document = write_golden(descriptions.golden(DATATYPES[datatype]))
    for sign in (-1, 1):
        first_beyond, last = (
            changed(document, ("samples", 0, "inputs", 0, "data", 0), put(sign * value))
            for value in (bound, nextafter(bound, 0))
        )
        assert not format_.validator().is_valid(first_beyond)
        with pytest.raises(FormatError, match=rf"inputs\[0\]\.data\[0\]: number is out of range for {datatype}"):
            format_.read(json.dumps(first_beyond).encode())
        format_.validator().validate(last)
        format_.read(json.dumps(last).encode())


def test_a_line_break_after_a_name_is_refused() -> None:
    # ECMA-262, which JSON Schema names, ends a pattern here; the `$` of `re`, and so of jsonschema, lets one pass.
    with pytest.raises(FormatError, match=r"\$\.alias: expected a name"):
        read_alias(b'{"format": 1, "alias": "production\\n", "version": 1}')


@pytest.mark.parametrize("name", ["lock", "manifest", "golden", "alias", "experiment", "shadow", "reference"])
def test_another_format_is_named_before_its_unknown_fields(name: str) -> None:
    format_ = FORMATS_BY_NAME[name]
    document = {**format_.documents[0], "format": 2, "checksum": "new in format 2"}
    with pytest.raises(FormatError, match=r"\$\.format: format 2 is not supported, expected 1"):
        format_.read(json.dumps(document).encode())


def test_scikit_learn_has_no_session() -> None:
    format_ = FORMATS_BY_NAME["lock"]
    optimised, pickled = (
        write_lock(descriptions.lock(model)) for model in (descriptions.optimised_model(), descriptions.pickled_model())
    )
    session: Any = optimised["runtime"]
    document = changed(pickled, ("runtime", "session"), put(session["session"]))
    assert not format_.validator().is_valid(document)
    with pytest.raises(FormatError, match=r"\$\.runtime: unknown field 'session'"):
        format_.read(json.dumps(document).encode())


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SCHEMAS / name).read_text())
    return document


def test_every_engine_serves_a_format_and_is_made_of_known_libraries() -> None:
    assert {engine for format_ in FORMATS.values() for engine in format_.engines} == ENGINES.keys()
    packages = [engine.packages for engine in ENGINES.values()] + [format_.packages for format_ in FORMATS.values()]
    assert set().union(*packages) <= LIBRARIES.keys()


def test_the_schema_lists_the_formats_and_engines_of_the_table() -> None:
    definitions = schema("description.schema.json")["$defs"]
    runtime = definitions["runtime"]["properties"]
    assert definitions["artifact"]["properties"]["format"]["enum"] == list(FORMATS)
    assert runtime["name"]["enum"] == list(dict.fromkeys(format_.runtime for format_ in FORMATS.values()))
    assert set(runtime["engine"]["enum"]) == ENGINES.keys()


def test_the_schema_asks_of_each_engine_for_the_packages_of_the_table() -> None:
    asked: dict[str, set[str]] = {}
    for rule in schema("description.schema.json")["$defs"]["runtime"]["allOf"]:
        condition = rule["if"]["properties"]["engine"]
        packages = rule["then"]["properties"]["packages"]["required"]
        asked |= {engine: set(packages) for engine in condition.get("enum") or [condition["const"]]}
    assert asked == {engine.name: set(engine.packages) for engine in ENGINES.values()}


@pytest.mark.parametrize(
    "name", ["lock.schema.json", "manifest.schema.json", "experiment.schema.json", "shadow.schema.json"]
)
def test_the_schema_gives_each_format_the_runtime_and_engines_of_the_table(name: str) -> None:
    found: dict[str, tuple[object, ...]] = {}
    document, part = schema(name), "treatment" if name.startswith("experiment") else "model"
    for rule in document.get("allOf") or document.get("$defs", document["properties"])[part]["allOf"]:
        formats = rule["if"]["properties"]["artifact"]["properties"]["format"]["enum"]
        runtime = rule["then"]["properties"]["runtime"]["properties"]
        optional = runtime.get("session", True), runtime.get("methods", True)
        found |= dict.fromkeys(formats, (runtime["name"]["const"], set(runtime["engine"]["enum"]), *optional))
    assert found == {
        row.name: (row.runtime, set(row.engines), row.has_session, row.has_methods) for row in FORMATS.values()
    }


def test_the_readme_lists_the_rules_that_only_readers_know() -> None:
    readme = (SCHEMAS / "README.md").read_text()
    assert [rule for rule in READERS_ONLY if rule not in readme] == []
