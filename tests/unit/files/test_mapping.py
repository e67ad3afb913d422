"""Rows of files through the map function: every format, every kind of bad row, and the same values as over HTTP."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from doubles import COLUMNS, FEATURES, IMAGE, FunctionModel, MemoryStore, ReadyLoader, StepClock, description
from pilotlight.codec import csv as codec_csv
from pilotlight.codec.decode import read_instances
from pilotlight.dataplane import DataPlane
from pilotlight.errors import FormatError, InvalidRequest
from pilotlight.files import records
from pilotlight.files.columns import write_types
from pilotlight.files.mapping import Opened, map_shard
from pilotlight.files.records import boundaries
from pilotlight.files.shards import Job, Shard, Summary, format_of
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, DATATYPES, FP32, Tensor
from pilotlight.start.loading import Plan

ECHO = Signature(FEATURES.inputs, (Output("sum", FP32, (-1, 1), "tensor"),))
MISSING = Signature((Input("x", FP32, (-1, 2), "features", ("a", "b"), missing=True),), ECHO.outputs)
MIXED = Signature(
    (
        Input("city", BYTES, (-1, 1), "features", missing=True),
        Input("rooms", DATATYPES["UINT64"], (-1,), "features"),
        Input("new", BOOL, (-1, 1), "features"),
        Input("area", FP32, (-1, 1), "features", missing=True),
    ),
    (Output("text", BYTES, (-1,), "tensor"),),
)
ONE_BY_ONE = Signature((Input("x", FP32, (1, 3), "features"),), (Output("y", FP32, (1, 1), "tensor"),))

Inputs = Sequence[Tensor]


class Told(FunctionModel):
    """A model that keeps the values that it got, and sums each row's numbers; it refuses -1 and breaks at -2."""

    def __init__(self, signature: Signature) -> None:
        super().__init__(self._outputs)
        self.rows: list[list[Any]] = []
        self._signature = signature

    def _outputs(self, inputs: Inputs) -> tuple[Tensor, ...]:
        count = inputs[0].shape[0]
        columns = [tensor.values() for tensor in inputs]
        rows = [
            [value for values in columns for value in values[row * (len(values) // count) :][: len(values) // count]]
            for row in range(count)
        ]
        flat = [value for row in rows for value in row]
        if -1.0 in flat:
            raise InvalidRequest("the model does not accept these values")
        if -2.0 in flat:
            raise OSError("a library's own error")
        self.rows += rows
        return tuple(_made(output, rows) for output in self._signature.outputs)


def _made(output: Output, rows: list[list[Any]]) -> Tensor:
    shape = (len(rows), *output.shape[1:])
    sums = [sum(value for value in row if isinstance(value, (int, float))) for row in rows]
    if output.role == "label":
        return Tensor(BYTES, shape, ["large" if each >= 10 else "small" for each in sums])
    if output.datatype is BYTES:
        return Tensor(BYTES, shape, [repr(row) for row in rows])
    width = Tensor(FP32, output.shape[1:], b"").count
    return Tensor(FP32, shape, np.repeat(np.array(sums, "f4"), width).data.cast("B"))


class Scored:
    """What came of a file: the rows of the results and of the failures, the summary, and what the model got."""

    def __init__(self, signature: Signature, shard: Shard, job: Job, content: bytes, folder: Path) -> None:
        clock, model, described = StepClock(), Told(signature), description(signature)
        loader = ReadyLoader(Plan(described, MemoryStore({}), Path("unused"), 1, clock, clock.sleep), model)
        plane = DataPlane(described, loader, clock=clock)
        result, failures = folder / "result", folder / "failures"
        done: list[int] = []
        opened = Opened(BytesIO(content), result, failures)
        self.summary: Summary = map_shard(plane, shard, job, opened, done.append)
        self.failures = [json.loads(line) for line in failures.read_text().splitlines()]
        self.places = [(each["line"], each["column"]) for each in self.failures]
        self.got = model.rows
        self.bytes = result.read_bytes()
        self.rows = rows_of(job.format, self.bytes)
        assert self.summary.rows == sum(done) == len(self.rows) + len(self.failures)
        assert self.summary.written == len(self.rows)


def rows_of(format_: str, content: bytes) -> list[dict[str, Any]]:
    if format_ == "parquet":
        table = parquet.read_table(pa.BufferReader(content))
    elif format_ == "csv":
        table = csv.read_csv(pa.BufferReader(content))
    else:
        return [json.loads(line) for line in content.splitlines()]
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@pytest.fixture
def score(tmp_path: Path) -> Callable[..., Scored]:
    def scored(
        signature: Signature, name: str, content: bytes, *keep: str, to: str = "jsonl", **options: Any
    ) -> Scored:
        format_, compression = format_of(name)
        job = Job(to, keep, options.pop("types", ""), options.pop("header", True))
        return Scored(signature, Shard(0, name, format_, compression, **options), job, content, tmp_path)

    return scored


def as_parquet(columns: dict[str, Any], **options: Any) -> bytes:
    out = BytesIO()
    parquet.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def as_npy(values: Any) -> bytes:
    out = BytesIO()
    np.save(out, values)
    return out.getvalue()


ROWS = [[1.5, 2.0, 3.0], [4.0, 5.0, 6.25], [7.0, 8.0, 9.0]]
PARQUET = as_parquet(
    {
        "id": [1, 2, 3],
        **dict(zip(("depth", "height", "width"), zip(*[(c, a, b) for a, b, c in ROWS], strict=True), strict=True)),
    }
)
CSV = b"id,depth,height,width\n1,3,1.5,2\n2,6.25,4,5\n3,9,7,8\n"
JSON = b"".join(
    json.dumps({"id": index + 1, "depth": depth, "height": height, "width": width}).encode() + b"\n"
    for index, (height, width, depth) in enumerate(ROWS)
)
IDS = write_types(pa.schema([("id", pa.int64())]))

FILES: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "parquet": ("a.parquet", PARQUET, {}),
    "csv": ("a.csv", CSV, {}),
    "csv with CRLF and a BOM": ("a.csv", b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n"), {}),
    "csv with CR": ("a.csv", CSV.replace(b"\n", b"\r"), {}),
    "csv without a last line end": ("a.csv", CSV.rstrip(), {}),
    "csv with quotes": ("a.csv", CSV.replace(b"2,6.25,4,5", b'"2","6.25","4","5"'), {}),
    "csv with empty lines": ("a.csv", b"\n" + CSV.replace(b"\n", b"\n\r\n"), {}),
    "csv with spaces": ("a.csv", CSV.replace(b",4,", b", 4 ,"), {}),
    "csv in gzip": ("a.csv.gz", gzip.compress(CSV[:20], mtime=0) + gzip.compress(CSV[20:], mtime=0), {}),
    "csv in zstd": ("a.CSV.zst", pa.compress(CSV, "zstd", asbytes=True), {}),
    "json lines": ("a.jsonl", JSON, {"types": IDS}),
    "json lines with CRLF and empty lines": ("a.ndjson", JSON.replace(b"\n", b"\r\n \r\n"), {"types": IDS}),
    "json lines in gzip": ("a.jsonl.gz", gzip.compress(JSON, mtime=0), {"types": IDS}),
}


@pytest.mark.parametrize("to", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("name", FILES)
def test_each_format_in_and_out_gives_the_same_rows(score: Callable[..., Scored], name: str, to: str) -> None:
    file, content, options = FILES[name]
    scored = score(FEATURES, file, content, "id", to=to, **options)
    assert scored.got == ROWS
    assert [list(row) for row in scored.rows] == [["id", "prediction", "probability_small", "probability_large"]] * 3
    assert [(int(row["id"]), row["prediction"], row["probability_small"]) for row in scored.rows] == [
        (1, "small", 6.5),
        (2, "large", 15.25),
        (3, "large", 24.0),
    ]


def test_npy_and_csv_without_names_have_the_features_in_order(score: Callable[..., Scored]) -> None:
    for name, content, options in (
        ("a.npy", as_npy(np.array(ROWS)), {}),
        ("a.npy.gz", gzip.compress(as_npy(np.array(ROWS, "f4")), mtime=0), {}),
        ("a.csv", b"1.5,2,3\n4,5,6.25\n7,8,9\n", {"header": False}),
    ):
        scored = score(FEATURES, name, content, **options)
        assert scored.got == ROWS, name


def test_a_part_of_a_file_has_the_lines_of_the_file(score: Callable[..., Scored]) -> None:
    lines = CSV.replace(b"2,6.25", b"2,x").splitlines(keepends=True)
    start = len(b"".join(lines[:2]))
    scored = score(FEATURES, "a.csv", b"".join(lines), start=start, stop=start + len(b"".join(lines[2:])), line=3)
    assert scored.got == ROWS[2:]
    assert scored.places == [(3, "depth")]
    groups = as_parquet({name: [1.0, 2.0, None] for name in FEATURES.feature_names}, row_group_size=1)
    scored = score(FEATURES, "a.parquet", groups, start=1, stop=3, line=2)
    assert (scored.got, scored.places) == ([[2.0, 2.0, 2.0]], [(3, "height")])
    scored = score(FEATURES, "a.npy", as_npy(np.array([*ROWS, [1, np.nan, 1]])), start=2, stop=4, line=3)
    assert (scored.got, scored.places) == ([ROWS[2]], [(4, "width")])


# A bad row among two good ones: its text in CSV and in JSON Lines, and where the failure is.
BAD = [
    ("1,x,3", '{"height": 1, "width": "x", "depth": 3}', "width", "expected a number (FP32)"),
    ("1,,3", '{"height": 1, "width": null, "depth": 3}', "width", "expected a number (FP32)"),
    ("1,1e39,3", '{"height": 1, "width": 1e39, "depth": 3}', "width", "number is out of range for FP32"),
    ("1,1e400,3", '{"height": 1, "width": 1e400, "depth": 3}', "width", "number is out of range for FP32"),
    ("1,2,nan", '{"height": 1, "width": 2, "depth": NaN}', "depth", ""),
    ("inf,2,3", '{"height": Infinity, "width": 2, "depth": 3}', "height", ""),
    ("0x1F,2,3", '{"height": 0x1F, "width": 2, "depth": 3}', "height", ""),
    ("true,2,3", '{"height": true, "width": 2, "depth": 3}', "height", "expected a number (FP32)"),
    ("1,2", '{"height": 1, "width": 2}', "", ""),
    ("1,2,3,4", '{"height": 1, "height": 2, "width": 2, "depth": 3}', "", ""),
    ("1,2,\udcff", '{"height": 1, "width": 2, "depth": \udcff}', "depth", ""),
    ("-1,2,3", '{"height": -1, "width": 2, "depth": 3}', "", "the model does not accept these values"),
    ("-2,2,3", '{"height": -2, "width": 2, "depth": 3}', "", "the row could not be scored: OSError"),
    ('"1,2,3', '{"height": 1, "width": 2, "depth": 3', "", ""),
]


@pytest.mark.parametrize(
    ("cells", "document", "column", "reason"), BAD, ids=[bad[0].encode(errors="replace").decode() for bad in BAD]
)
def test_a_bad_row_fails_alone(
    score: Callable[..., Scored], cells: str, document: str, column: str, reason: str
) -> None:
    good = '{"height": 1, "width": 2, "depth": 3}'
    rows = ["1,2,3", cells, "4,5,6"] if cells[0] != '"' else ["1,2,3", "4,5,6", cells]
    place = rows.index(cells) + 2
    scored = score(FEATURES, "a.csv", "\n".join(["height,width,depth", *rows]).encode(errors="surrogateescape"))
    assert scored.places == [(place, column)]
    assert scored.failures[0]["reason"].startswith(reason)
    assert (scored.failures[0]["file"], len(scored.rows)) == ("a.csv", 2)
    scored = score(FEATURES, "a.jsonl", f"{good}\n{document}\n{good}".encode(errors="surrogateescape"))
    assert [line for line, _ in scored.places] == [2]
    assert scored.failures[0]["reason"].startswith(reason)
    assert scored.got == [[1, 2, 3], [1, 2, 3]]


def test_lines_count_line_ends_in_quotes_and_empty_lines(score: Callable[..., Scored]) -> None:
    content = b'note,height,width,depth\n"a\n""b"",\r\nc",1,2,3\n\n5" pipe,x,2,3\n"d\n",1,2\nlast,1,2,y\n'
    scored = score(FEATURES, "a.csv", content, "note")
    assert scored.rows[0]["note"] == 'a\n"b",\r\nc'
    assert scored.places == [(6, "height"), (7, ""), (9, "depth")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_records_are_whole_whatever_is_read_at_once(size: int) -> None:
    content = b'\xef\xbb\xbfa,b\r\n"1\r\n2",3\n\n4 "x,5\r6,"""\n"\r\n"",7'
    blocks = list(records.blocks(BytesIO(content), quotes=True, size=size))
    assert b"".join(block.content for block in blocks) == content[3:]
    found = [pair for block in blocks for pair in records.records(block, quotes=True)]
    assert found == [
        *((1, b"a,b\r\n"), (2, b'"1\r\n2",3\n'), (5, b'4 "x,5\r'), (6, b'6,"""\n"\r\n'), (8, b'"",7')),
    ]
    assert not any(block.torn for block in blocks)


def test_the_parts_of_a_file_begin_where_records_do() -> None:
    content = b"\xef\xbb\xbfa,b\n" + b'"x\ny",1\n' * 50
    starts = list(boundaries(BytesIO(content), quotes=True, every=40))
    assert len(starts) > 5
    assert all(
        content[offset:].startswith(b'"x') and content[:offset].count(b"\n") == line - 1 for offset, line in starts[1:]
    )


def test_a_record_without_end_is_refused(score: Callable[..., Scored], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LONGEST", 1000)
    content = b'height,width,depth\n1,2,3\n"' + b"4,5,6\n" * (1 << 20)
    with pytest.raises(
        FormatError, match=r"a.csv: line 3: a record has more than 1,000 bytes; is a quote not closed\?"
    ):
        score(FEATURES, "a.csv", content)


def test_a_bad_row_does_not_change_how_its_neighbours_are_read(score: Callable[..., Scored]) -> None:
    cells = ["1", " 1.5", "+2", "0.1", "16777217", "1e-46", ".5", "5.", "1_0", "0x10", "3.3"]
    content = "height,width,depth\n" + "".join(f"{cell},1,1\n" for cell in cells)
    alone = score(FEATURES, "a.csv", content.encode())
    together = score(FEATURES, "a.csv", (content + "bad,1,1\n").encode())
    assert alone.got == together.got
    assert alone.failures == together.failures[:-1]
    assert [line for line, _ in alone.places] == [10, 11]


def test_values_are_those_of_the_codec(score: Callable[..., Scored]) -> None:
    """A number is read as a double and rounded once, in whatever form it comes."""
    numbers = [0.1, 1 / 3, 16777217, 2**60 + 1, 1.00000017881393432617187499, 3e-46]
    expected = read_instances(FEATURES, [[number, 0, 0] for number in numbers], "$")[0].values()[::3]
    text = "height,width,depth\n" + "".join(f"{number!r},0,0\n" for number in numbers)
    assert codec_csv.read(FEATURES, {"content-type": "text/csv"}, text.encode())[0].values()[::3] == expected
    lines = "".join(json.dumps({"height": number, "width": 0, "depth": 0}) + "\n" for number in numbers)
    zeros = [0] * len(numbers)
    whole = as_parquet({"height": [int(number) for number in numbers], "width": zeros, "depth": zeros})
    assert [row[0] for row in score(FEATURES, "a.csv", text.encode()).got] == expected
    assert [row[0] for row in score(FEATURES, "a.jsonl", lines.encode()).got] == expected
    wholes = read_instances(FEATURES, [[int(number), 0, 0] for number in numbers], "$")[0].values()[::3]
    assert [row[0] for row in score(FEATURES, "a.parquet", whole).got] == wholes


def test_missing_values_are_empty_cells_null_and_nan(score: Callable[..., Scored]) -> None:
    for name, content in (
        ("a.csv", b"a,b\n1,\n,2\n"),
        ("a.jsonl", b'{"a": 1, "b": null}\n{"a": null, "b": 2}\n'),
        ("a.parquet", as_parquet({"a": [1.0, None], "b": [float("nan"), 2.0]})),
        ("a.npy", as_npy(np.array([[1, np.nan], [np.nan, 2]]))),
    ):
        scored = score(MISSING, name, content)
        assert repr(scored.got) == "[[1.0, nan], [nan, 2.0]]", name
    assert score(MISSING, "a.csv", b"a,b\n1,nan\n1,2\n").places == [(2, "b")]
    assert score(MISSING, "a.parquet", as_parquet({"a": [1.0, 2.0], "b": [float("inf"), 2.0]})).places == [(1, "b")]


def test_columns_of_several_types(score: Callable[..., Scored]) -> None:
    rows: list[list[Any]] = [["Rome", 2**64 - 1, True, 1.5], [None, 0, False, None]]
    columns = dict(zip(("city", "rooms", "new", "area"), map(list, zip(*rows, strict=True)), strict=True))
    typed = {
        **columns,
        "rooms": pa.array(columns["rooms"], pa.uint64()),
        "city": pa.array(columns["city"]).dictionary_encode(),
    }
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    for name, content, bad in (
        (
            "a.csv",
            b"city,rooms,new,area\nRome,18446744073709551615,TRUE,1.5\n,0,false,\n",
            b"Rome,18446744073709551616,TRUE,1\n",
        ),
        (
            "a.jsonl",
            "".join(f"{line}\n" for line in lines).encode(),
            b'{"city": 1, "rooms": 1, "new": true, "area": 1}\n',
        ),
        ("a.parquet", as_parquet(typed), b""),
    ):
        for tail in (b"", bad):
            scored = score(MIXED, name, content + tail)
            assert repr(scored.got) == "[['Rome', 18446744073709551615, True, 1.5], [None, 0, False, nan]]", name
            assert len(scored.failures) == bool(tail)
    assert score(MIXED, "a.parquet", as_parquet(typed | {"rooms": [1.0, 1.5]})).places == [(2, "rooms")]
    assert score(MIXED, "a.parquet", as_parquet(typed | {"new": [None, True]})).places == [(1, "new")]
    assert score(COLUMNS, "a.csv", b"area,rooms,city\n1,2,a\n1,2.5,b\n1,3.0,c\n").places == [(3, "rooms")]


def test_tensors_come_as_lists_and_arrays(score: Callable[..., Scored]) -> None:
    image = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]
    for name, content in (
        ("a.jsonl", b'{"image": [[1, 2], [3, 4]]}\n[[5, 6], [7, 8]]\n'),
        ("a.jsonl", b'{"image": [[1, 2], [3, 4]]}\n{"image": [[5, 6], [7, 8]]}\n'),
        ("a.parquet", as_parquet({"image": image})),
        ("a.npy", as_npy(np.array(image))),
    ):
        scored = score(IMAGE, name, content)
        assert scored.got == [[1, 2, 3, 4], [5, 6, 7, 8]]
        assert scored.rows[0] == {"scores": [10.0, 10.0], "hidden": [[10.0, 10.0], [10.0, 10.0]]}
    ragged = as_parquet({"image": [image[0], [[1.0], [2.0, 3.0, 4.0]]]})
    assert score(IMAGE, "a.parquet", ragged).summary.failed == 1
    with pytest.raises(FormatError, match="'scores' is a list, which CSV has no form for"):
        score(IMAGE, "a.npy", as_npy(np.array(image)), to="csv")


def test_a_model_of_one_row_at_a_time_gets_each_alone(score: Callable[..., Scored]) -> None:
    scored = score(ONE_BY_ONE, "a.npy", as_npy(np.array([*ROWS, [-1, 0, 0]])))
    assert [row["prediction"] for row in scored.rows] == [6.5, 15.25, 24.0]
    assert scored.places == [(4, "")]


def test_a_model_that_fails_for_all_rows_ends_the_work(score: Callable[..., Scored]) -> None:
    with pytest.raises(OSError, match="a library's own error"):
        score(FEATURES, "a.npy", as_npy(np.full((5, 3), -2.0)))


def test_kept_values_have_their_column_s_type(score: Callable[..., Scored]) -> None:
    content = JSON + b'{"id": "x", "height": 1, "width": 2, "depth": 3}\n{"height": 1, "width": 2, "depth": 3}\n'
    scored = score(FEATURES, "a.jsonl", content, "id", types=IDS, to="parquet")
    assert [row["id"] for row in scored.rows] == [1, 2, 3, None]
    assert scored.places == [(4, "id")]
    assert scored.failures[0]["reason"] == 'expected int64, as in the first lines, found "x"'


def test_numbers_that_json_lacks_are_null(score: Callable[..., Scored]) -> None:
    assert score(MISSING, "a.csv", b"a,b\n1,\n").rows == [{"prediction": None}]


# A file that does not suit the model, and what is said about it.
UNSUITABLE: list[tuple[Signature, str, bytes, tuple[str, ...], str]] = [
    (
        FEATURES,
        "a.csv",
        b"height,width\n1,2\n",
        (),
        'a.csv: line 1: the column "depth" is missing; found "height", "width"',
    ),
    (FEATURES, "a.csv", b"height,width,depth,depth\n", (), 'line 1: duplicate column "depth"'),
    (FEATURES, "a.csv", CSV, ("name",), 'the column "name" is missing'),
    (
        FEATURES,
        "a.parquet",
        as_parquet({"height": ["a"], "width": [1], "depth": [1]}),
        (),
        '"height" has the type string, expected numbers for FP32',
    ),
    (FEATURES, "a.parquet", b"no parquet", (), "a.parquet: cannot be read as parquet"),
    (FEATURES, "a.npy", as_npy(np.zeros((2, 4))), (), r"a row has the shape \[4\], expected \[3\]"),
    (FEATURES, "a.npy", as_npy(np.zeros((2, 3)))[:-1], (), "the file ends in the middle; its header says 2 rows"),
    (FEATURES, "a.npy", as_npy(np.zeros((2, 3), order="F")), (), "stored by columns"),
    (FEATURES, "a.npy", as_npy(np.array([["a", "b", "c"]])), (), "array of <U1, expected FP32"),
    (FEATURES, "a.csv.gz", gzip.compress(CSV, mtime=0)[:-12], (), "a.csv.gz: cannot be read as csv"),
    (IMAGE, "a.csv", b"image\n1\n", (), "takes tensors, which CSV has no form for"),
    (
        FEATURES,
        "a.parquet",
        as_parquet({"prediction": [1], "height": [1], "width": [1], "depth": [1]}),
        ("prediction",),
        "two columns 'prediction'",
    ),
]


@pytest.mark.parametrize("unsuitable", UNSUITABLE, ids=[each[-1] for each in UNSUITABLE])
def test_a_file_that_does_not_suit_the_model_is_refused(
    score: Callable[..., Scored], unsuitable: tuple[Signature, str, bytes, tuple[str, ...], str]
) -> None:
    signature, name, content, keep, message = unsuitable
    with pytest.raises(FormatError, match=message):
        score(signature, name, content, *keep)


def test_the_same_rows_make_the_same_bytes(score: Callable[..., Scored]) -> None:
    for to in ("parquet", "csv", "jsonl"):
        assert (
            score(FEATURES, "a.parquet", PARQUET, "id", to=to).bytes
            == score(FEATURES, "a.parquet", PARQUET, "id", to=to).bytes
        )
