"""What a record of an event costs, beside a request of one row and a row of a batch: `python bench/records.py`.

One process asks the predict function's handler, event in and reply out, for one row and for a batch of rows, and gives
the function for records events with as many records and with one of them, up to the results as they would be written.
All have one service with the sample's forest on one thread, take turns, and their answers are compared before it
counts. What counts is the process's processor time for a row. Networks are left out: that to a destination, as that to
a caller.

A message over a row of the batch costs Python's objects for each record: a sixth of its time is its delivery, a quarter
its document of a result, and as much is that it is parsed by itself, since one of them may be no JSON. One C call does
each step for all records where the library has one; what is left is a few dictionaries and strings of each.

To parse all messages as one array was tried, and saves nothing: 480 to 570 us for 200 of them with the checks that make
it safe, 320 to 440 us one by one. orjson's time is that of the numbers, and the array has to be written first.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from figures import Round, ratios, values
from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import load_lock
from pilotlight_cli.assets import FUNCTIONS
from race import RaceError
from sample import LOCK, SAMPLE
from warm import frozen, quiet, seconds
from warm_cases import numbers_of, tabular
from warm_sides import Context, event_of, start

sys.path += [str(FUNCTIONS / "aws" / name) for name in ("predict", "records")]

if TYPE_CHECKING:
    from destinations import Failures, Result

_ROWS = 200
_TURN = 0.1

_TITLES = {
    "batch": f"/predict_batch, {_ROWS} rows",
    "sqs": f"{_ROWS} messages of SQS, JSON",
    "poison": f"{_ROWS} messages of SQS, JSON, one of them poison",
    "csv": f"{_ROWS} messages of SQS, CSV",
    "kinesis": f"{_ROWS} records of Kinesis, JSON",
    "kafka": f"{_ROWS} records of Kafka, JSON",
    "dynamodb": f"{_ROWS} items of DynamoDB",
}
_ARN = "arn:aws:{}:us-east-1:123456789012:{}"


def measured(rounds: int) -> dict[str, Any]:
    """Return the seconds of one row a request, and the ratios of a row of each other to that and to the batch's.

    `over_alone` are the ratios to a record that is an event of its own, of a source's records that can be scored.
    """
    with TemporaryDirectory(prefix="pilotlight-bench-") as folder, quiet(), frozen():
        sides = _sides(Path(folder))
        gc.freeze()
        turns = {name: (call, rows, max(1, int(_TURN / seconds(call, 3)))) for name, (call, rows) in sides.items()}
        done: list[Round] = [
            {name: {"seconds": seconds(call, times) / rows} for name, (call, rows, times) in turns.items()}
            for _ in range(rounds)
        ]
    return {
        "titles": _TITLES,
        "one": values(done, "one", "seconds").median,
        "over_one": {name: asdict(ratios(done, name, "one", "seconds")) for name in _TITLES},
        "over_alone": {
            name: asdict(ratios(done, name, f"{name} alone", "seconds")) for name in _TITLES if f"{name} alone" in sides
        },
        "over_batch": {name: asdict(ratios(done, name, "batch", "seconds")) for name in _TITLES},
    }


def _sides(folder: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Return by name a call and how many rows it scores."""
    from destinations import Destination  # noqa: PLC0415 - functions/aws/records is on the path by now
    from record_events import RecordEvents  # noqa: PLC0415
    from s3_objects import Objects  # noqa: PLC0415

    class Nowhere(Destination):
        """A destination that takes everything, and keeps the last results."""

        last: Sequence[Result] = ()

        def write(self, results: Sequence[Result], deadline: float) -> Failures:  # noqa: ARG002
            """See `Destination.write`."""
            self.last = results
            return {}

    signature, context = load_lock(LOCK).model.signature, Context()
    model = folder / "forest.onnx"
    model.write_bytes((SAMPLE / "model.onnx").read_bytes())
    one, batch = (tabular(model, signature, count, "", "") for count in (1, _ROWS))
    module = start(batch, FORMATS["onnx"].engines[0])
    handler = module["lambda_handler"]
    first, second = event_of(one), event_of(batch)
    calls: dict[str, tuple[Callable[[], object], int]] = {
        "one": (lambda: handler(first, context), 1),
        "batch": (lambda: handler(second, context), _ROWS),
    }
    expected = json.loads(handler(second, context)["body"])["probabilities"]
    destination = Nowhere("s3://unused")
    function = RecordEvents(module["_SERVICE"], destination, None, Objects(0, ()), {})
    for name, event in _events().items():
        calls[name] = (_call(function, event), _ROWS)
        failed: Any = calls[name][0]()
        found = [json.loads(result.content)["result"]["probabilities"] for result in destination.last]
        poison = [_ROWS // 2] if name == "poison" else []
        good = [row for number, row in enumerate(expected) if number not in poison]
        if len(failed["batchItemFailures"]) != len(poison) or found != good:
            raise RaceError(f"{_TITLES[name]}: the results are not those of /predict_batch")
        if not poison:
            calls[f"{name} alone"] = (_call(function, _first(event)), 1)
    return calls


def _call(function: Any, event: Mapping[str, Any]) -> Callable[[], object]:  # noqa: ANN401 - see _sides
    import time  # noqa: PLC0415

    from http_events import Invocation  # noqa: PLC0415

    return lambda: function.answer(Invocation(event, "an-id", time.monotonic() + 30))


def texts() -> list[str]:
    """Return rows as JSON."""
    return [json.dumps({"features": row}) for row in numbers_of(_ROWS)]


def _events() -> dict[str, dict[str, Any]]:
    rows = numbers_of(_ROWS)
    names = load_lock(LOCK).model.signature.feature_names
    bodies = texts()
    poisoned = [*bodies[: _ROWS // 2], json.dumps({"features": rows[0][1:]}), *bodies[_ROWS // 2 + 1 :]]
    return {
        "sqs": {"Records": [message(number, text) for number, text in enumerate(bodies)]},
        "poison": {"Records": [message(number, text) for number, text in enumerate(poisoned)]},
        "csv": {"Records": [message(number, ",".join(map(str, row))) for number, row in enumerate(rows)]},
        "kinesis": {"Records": [_kinesis(number, text) for number, text in enumerate(bodies)]},
        "kafka": {
            "eventSource": "aws:kafka",
            "records": {"rows-0": [_kafka(number, text) for number, text in enumerate(bodies)]},
        },
        "dynamodb": {"Records": [_dynamodb(number, names, row) for number, row in enumerate(rows)]},
    }


def _first(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event of an event's first record."""
    if "Records" in event:
        return {**event, "Records": event["Records"][:1]}
    return {**event, "records": {name: records[:1] for name, records in event["records"].items()}}


def message(number: int, text: str) -> dict[str, Any]:
    """Return a message of SQS with that body, as Lambda has it in an event."""
    return {
        "messageId": f"19dd0b57-b21e-4ac1-bd88-{number:012}",
        "body": text,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1764633600000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": _ARN.format("sqs", "rows"),
    }


def _kinesis(number: int, text: str) -> dict[str, Any]:
    sequence = str(10**22 + number)
    data = {"sequenceNumber": sequence, "data": b64encode(text.encode()).decode(), "partitionKey": "key"}
    return {
        "kinesis": {**data, "approximateArrivalTimestamp": 1764633600.5},
        "eventID": f"shardId-000000000000:{sequence}",
        "eventSource": "aws:kinesis",
        "eventSourceARN": _ARN.format("kinesis", "stream/rows"),
    }


def _kafka(number: int, text: str) -> dict[str, Any]:
    place = {"topic": "rows", "partition": 0, "offset": number, "timestamp": 1764633600500}
    return {**place, "key": "a2V5", "value": b64encode(text.encode()).decode(), "headers": []}


def _dynamodb(number: int, names: Sequence[str], row: Sequence[float]) -> dict[str, Any]:
    key = {"id": {"S": f"item-{number}"}}
    change = {"Keys": key, "SequenceNumber": str(10**22 + number), "ApproximateCreationDateTime": 1764633600}
    image = key | {name: {"N": str(value)} for name, value in zip(names, row, strict=True)}
    return {
        "dynamodb": {**change, "NewImage": image},
        "eventID": f"event-{number}",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": _ARN.format("dynamodb", "table/rows/stream/2026"),
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the figures as lines of text."""
    out = io.StringIO()
    out.write(f"one row a request, by the whole handler: {found['one'] * 1e6:.0f} us of a processor\n")
    for name, title in found["titles"].items():
        spread = found["over_one"][name]
        out.write(f"  {title:<46} {spread['median']:.3f} ({spread['low']:.3f}-{spread['high']:.3f}) of that a row")
        if name in found["over_alone"]:
            out.write(f", {found['over_alone'][name]['median']:.3f} of an event of one")
        out.write(f", {found['over_batch'][name]['median']:.2f} of a row of the batch\n")
    return out.getvalue()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/records.py")
    parser.add_argument("--rounds", type=int, default=15)
    print(table(measured(parser.parse_args().rounds)), end="")


if __name__ == "__main__":
    main()
