"""Rows in files: CSV, a JSON array, JSON lines; with columns of outputs beside the features."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from descriptions import CLASSIFIER, COLUMNS
from pilotlight.errors import FormatError
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, FP32
from pilotlight_cli.registry.rows import expected_outputs, parse_rows, read_records, read_rows, take

ONE_AT_A_TIME = replace(CLASSIFIER, inputs=(replace(CLASSIFIER.inputs[0], shape=(1, 2)),))
WITHOUT_BATCH = Signature((Input("x", FP32, (2,), "tensor"),), (Output("y", FP32, (2,), "tensor"),))

FORMS = {
    "csv": "mean radius,mean texture\n1.5,2\n\n-3,4e1\n",
    "csv in another order": '\ufeff"mean texture",mean radius\r\n2,1.5\r\n4e1,-3\r\n',
    "instances": '{"instances": [[1.5, 2], {"mean texture": 40, "mean radius": -3}]}',
    "array": "[[1.5, 2], [-3, 40]]",
    "lines": '{"mean radius": 1.5, "mean texture": 2}\n\n{"mean texture": 40, "mean radius": -3}\n',
    "lists by line": "[1.5, 2]\n[-3, 40]",
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_come_from_every_form(form: str, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text(FORMS[form])
    [rows] = read_rows(file, CLASSIFIER)
    assert (rows.shape, rows.values()) == ((2, 2), [1.5, 2.0, -3.0, 40.0])


@pytest.mark.parametrize("form", FORMS)
def test_a_model_of_one_instance_at_a_time_gets_a_batch_a_row(form: str) -> None:
    batches = parse_rows(FORMS[form], ONE_AT_A_TIME).batches
    assert [(tensor.shape, tensor.values()) for [tensor] in batches] == [((1, 2), [1.5, 2.0]), ((1, 2), [-3.0, 40.0])]


def test_a_single_record_is_a_row() -> None:
    [[rows]] = parse_rows('{"mean radius": 1.5, "mean texture": 2}', CLASSIFIER).batches
    assert rows.shape == (1, 2)


def test_columns_of_strings_and_numbers_keep_their_datatypes() -> None:
    [[city, area]] = parse_rows("area,city\n40,Derby\n41.5,Bristol\n", COLUMNS).batches
    assert (city.values(), area.values()) == (["Derby", "Bristol"], [40.0, 41.5])


def test_plain_tensors_come_as_instances() -> None:
    batches = parse_rows("[[1, 2], [3, 4]]", WITHOUT_BATCH).batches
    assert [tensor.values() for [tensor] in batches] == [[1.0, 2.0], [3.0, 4.0]]


OUTPUTS = {
    "csv": "label,mean radius,mean texture\n1,1.5,2\n0,-3,40\n",
    "lines": '{"label": 1, "mean radius": 1.5, "mean texture": 2}\n{"mean radius": 1, "mean texture": 2, "label": 0}',
}


@pytest.mark.parametrize("form", OUTPUTS)
def test_a_column_with_an_outputs_name_is_what_the_file_expects(form: str) -> None:
    rows = parse_rows(OUTPUTS[form], CLASSIFIER)
    [label] = expected_outputs(rows.others, CLASSIFIER.outputs)
    assert (label.name, label.shape, label.data) == ("label", (2,), (1, 0))
    assert rows.batches[0][0].shape == (2, 2)


def test_an_expected_output_has_the_outputs_datatype() -> None:
    outputs = (
        Output("a", BOOL, (-1,), "tensor"),
        Output("b", BYTES, (-1, 1), "tensor"),
        Output("c", FP32, (-1,), "tensor"),
    )
    found = expected_outputs({"a": ["true", "False"], "b": ["1", "x"], "c": ["0.5", "2"]}, outputs)
    assert [(values.shape, values.data) for values in found] == [
        ((2,), (True, False)),
        ((2, 1), ("1", "x")),
        ((2,), (0.5, 2.0)),
    ]


@pytest.mark.parametrize(
    ("text", "signature", "message"),
    [
        ("", CLASSIFIER, "expected a line of column names"),
        ("mean radius,mean texture\n1,x\n", CLASSIFIER, 'line 2, column "mean texture": expected a number'),
        ("label,mean radius,mean texture\n0,1,2\n\n0,1,x\n", CLASSIFIER, 'line 4, column "mean texture": expected'),
        ("mean radius\n1\n", CLASSIFIER, 'the column "mean texture" is missing'),
        ("mean radius,mean texture\n1\n", CLASSIFIER, "line 2: expected 2 cells, found 1"),
        ("a,a,mean radius,mean texture\n1,1,1,1\n", CLASSIFIER, 'duplicate column among "a", "a"'),
        ('mean radius,mean texture\n1,"2\n', CLASSIFIER, "not valid CSV"),
        ("signal\n1\n", WITHOUT_BATCH, "this model has no named columns"),
        ("[]", CLASSIFIER, "$: "),
        ("[1", CLASSIFIER, "not valid JSON"),
        ("[[1, 2], [1, null]]", CLASSIFIER, "$[1][1]: "),
        ('{"instances": [[1, 2]], "more": 1}', CLASSIFIER, "more"),
        ('{"mean radius": 1, "mean texture": 2}\n{"mean radius": 1}', CLASSIFIER, 'line 2: the feature "mean texture"'),
        ('{"mean radius": 1}\n{"a": 1, "a": 2}', CLASSIFIER, "line 2: not valid JSON: an object"),
        ('[{"label": 1, "mean radius": 1, "mean texture": 2}, [1, 2]]', CLASSIFIER, 'the field "label" is missing'),
        ('[{"label": null, "mean radius": 1, "mean texture": 2}]', CLASSIFIER, "$[0].label: expected a string"),
    ],
)
def test_what_cannot_be_read_has_its_place(text: str, signature: Signature, message: str) -> None:
    with pytest.raises(FormatError) as error:
        parse_rows(text, signature)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"species": ["a"]}, 'unknown column "species", expected the model\'s features or the output "label"'),
        ({"label": ["1", "x"]}, 'row 2: column "label": expected a whole number'),
    ],
)
def test_a_column_that_is_neither_a_feature_nor_an_output_is_refused(
    others: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(FormatError) as error:
        expected_outputs(others, CLASSIFIER.outputs)
    assert message in str(error.value)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    for content, message in (
        (b"\xff", "not UTF-8"),
        (b"a\n1\n", 'unknown column "a"'),
        (b"species,mean radius,mean texture\na,1,2\n", 'unknown column "species"'),
    ):
        file.write_bytes(content)
        with pytest.raises(FormatError, match=r"rows\.csv: ") as error:
            read_rows(file, CLASSIFIER)
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "records"),
    [
        ('\ufeffa,"b c"\n1,\n\n"x, y",NaN\n', [{"a": "1", "b c": ""}, {"a": "x, y", "b c": "NaN"}]),
        ('{"instances": [{"a": 1, "b": null}, [1, "1"], "text"]}', [{"a": 1, "b": None}, [1, "1"], "text"]),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('{"a": 1}', [{"a": 1}]),
        ("[[[1], [2]], [[3], [4]]]", [[[1], [2]], [[3], [4]]]),
    ],
)
def test_rows_without_a_signature_are_as_in_the_file(content: str, records: list[object], tmp_path: Path) -> None:
    (tmp_path / "rows").write_text(content)
    assert read_records(tmp_path / "rows") == records


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a line of column names and at least one line of values"),
        (b"a,b\n", "expected a line of column names and at least one line of values"),
        (b"a,b\n1\n", "line 2: expected 2 cells, found 1"),
        (b"a,b,a\n1,2,3\n", 'duplicate column "a"'),
        (b"[1", "$: not valid JSON"),
        (b'[{"a": NaN}]', "$: not valid JSON: NaN is not JSON"),
        (b'{"a": 1}\n{"a" 2}', "line 2: not valid JSON"),
        (b'{"instances": 3}', "$.instances: expected"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_rows_that_cannot_be_read_have_their_file_and_place(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(FormatError) as error:
        read_records(file)
    assert str(error.value).startswith(f"{file}: {message}")


def test_a_batch_cannot_have_rows_of_a_model_that_takes_one(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(FORMS["array"])
    with pytest.raises(FormatError, match="found 2 rows, expected one"):
        read_rows(file, ONE_AT_A_TIME)


def test_rows_can_be_taken_from_a_batch() -> None:
    [batch] = parse_rows(json.dumps([["Derby", 1], ["Bath", 2], ["Bristol", 3]]), COLUMNS).batches
    city, area = take(batch, 1, 3)
    assert (city.shape, city.values()) == ((2, 1), ["Bath", "Bristol"])
    assert (area.shape, area.values()) == ((2,), [2.0, 3.0])
