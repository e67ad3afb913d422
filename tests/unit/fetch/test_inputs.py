"""Inputs by reference: which objects a request may name, and what it is told of those that cannot be read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from doubles import FEATURES, MemoryStore, StepClock, service
from pilotlight.errors import PilotlightError, StoreError, StoreUnavailable
from pilotlight.fetch import ObjectStore, UseSdk
from pilotlight.fetch.inputs import InputObjects
from pilotlight.http.messages import Request, Response
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES
from pilotlight.service import Service
from unit.protocols.test_v2 import INFER, by_sum

ROWS = struct.pack("<6f", 1, 2, 3, 1, 2, 4)
OBJECTS = {"rows.bin": ROWS, "day 1/a?b": ROWS, "short.bin": ROWS[:-1], "long.bin": ROWS + b"\0", "none.bin": b""}
FREE = 1 << 20


class Objects:
    """The bucket `inputs`, of which the prefix `mine/` may be read."""

    def __init__(self, faults: Sequence[PilotlightError] = (), objects: dict[str, bytes] = OBJECTS) -> None:
        self.store = MemoryStore(objects, faults)
        self.opened: list[str] = []
        self.clock = StepClock()
        self.free = FREE
        self.read = InputObjects(
            ("gs://other/", "gs://inputs/mine/"),
            self._open,
            free_memory=lambda: self.free,
            clock=self.clock,
            sleep=self.clock.sleep,
        ).read

    def _open(self, url: str) -> ObjectStore:
        self.opened.append(url)
        return self.store


def entry(url: object = "gs://inputs/mine/rows.bin", rows: int = 2, **fields: object) -> dict[str, Any]:
    parameters = {"binary_data_url": url}
    return {"name": "features", "datatype": "FP32", "shape": [rows, 3], "parameters": parameters} | fields


def infer(served: Service, one: dict[str, Any], deadline: float | None = None) -> Response:
    return served.handle(Request("POST", INFER, {}, json.dumps({"inputs": [one]}).encode(), deadline=deadline))


def asked(objects: Objects, one: dict[str, Any], deadline: float | None = None) -> Response:
    return infer(service(FEATURES, by_sum, read_object=objects.read), one, deadline)


@pytest.mark.parametrize("name", ["rows.bin", "day 1/a?b"])
def test_the_bytes_of_an_object_are_the_input(name: str) -> None:
    objects = Objects()
    response = asked(objects, entry(f"gs://inputs/mine/{name}"))
    assert json.loads(response.body)["outputs"][0]["data"] == ["small", "large"]
    assert (objects.opened, objects.store.fetched) == (["gs://inputs/mine"], [name])


@pytest.mark.parametrize(
    ("one", "status", "code", "place", "says"),
    [
        (entry("gs://inputs/rows.bin"), 403, "forbidden", "binary_data_url", "below gs://other/, gs://inputs/mine/"),
        (entry("gs://inputs/mine"), 403, "forbidden", "binary_data_url", 'object below'),
        (entry("gs://inputs/mineral/rows.bin"), 403, "forbidden", "binary_data_url", "may not be read"),
        (entry("s3://inputs/mine/rows.bin"), 403, "forbidden", "binary_data_url", "may not be read"),
        (entry("file:///etc/passwd"), 403, "forbidden", "binary_data_url", "may not be read"),
        (entry("GS://inputs/mine/rows.bin"), 403, "forbidden", "binary_data_url", "may not be read"),
        (entry("gs://inputs/mine/"), 400, "invalid_request", "binary_data_url", "expected the name of an object"),
        (entry("gs://inputs/mine/../rows.bin"), 400, "invalid_request", "binary_data_url", 'found "../rows.bin"'),
        (entry("gs://inputs/mine/a//b"), 400, "invalid_request", "binary_data_url", "expected the name of an object"),
        (entry("gs://inputs/mine/./a"), 400, "invalid_request", "binary_data_url", "expected the name of an object"),
        (entry("gs://inputs/mine/a\r\nb"), 400, "invalid_request", "binary_data_url", "expected the name of an"),
        (entry(7), 400, "invalid_request", "binary_data_url", "expected the URL of an object, found 7"),
        (entry("gs://inputs/mine/short.bin"), 400, "invalid_request", "binary_data_url", "expected 24 bytes"),
        (entry("gs://inputs/mine/long.bin"), 400, "invalid_request", "binary_data_url", "found an object of"),
        (entry("gs://inputs/mine/no.bin"), 424, "input_refused", "binary_data_url", "no.bin is not there"),
        (entry(rows=50_000), 413, "too_large", "binary_data_url", f"has 600000 bytes, of {FREE} that are free"),
        (entry(datatype="FP64"), 400, "invalid_request", "datatype", "expected FP32 by reference, found FP64"),
        (entry(data=[1]), 400, "invalid_request", "", "found both data and binary_data_url, expected one of them"),
    ],
)  # fmt: skip
def test_a_reference_is_refused_by_its_cause(
    one: dict[str, Any], status: int, code: str, place: str, says: str
) -> None:
    document = json.loads(asked(Objects(), one).body)
    response = asked(Objects(), one)
    assert (response.status, document["code"]) == (status, code), document
    assert document["path"].removeprefix("$.inputs[0]").removeprefix(".parameters").strip(".") == place
    assert says in document["error"]


def test_nothing_is_read_for_an_object_that_may_not_be_or_does_not_fit() -> None:
    objects = Objects()
    for one in (entry("gs://inputs/rows.bin"), entry("gs://inputs/mine/../rows.bin"), entry(rows=50_000)):
        asked(objects, one)
    assert (objects.opened, objects.store.fetched) == ([], [])


def test_without_the_setting_no_object_may_be_read() -> None:
    response = infer(service(FEATURES, by_sum), entry())
    assert (response.status, json.loads(response.body)["code"]) == (403, "forbidden")
    assert "PILOTLIGHT_INPUT_PREFIXES is empty" in json.loads(response.body)["error"]


@pytest.mark.parametrize(("faults", "status"), [(1, 200), (2, 200), (3, 503)])
def test_a_store_that_does_not_deliver_is_asked_three_times(faults: int, status: int) -> None:
    objects = Objects([StoreUnavailable("slow down")] * faults)
    response = asked(objects, entry())
    assert (response.status, len(objects.store.fetched)) == (status, min(faults + 1, 3))
    if status == 503:
        assert json.loads(response.body)["code"] == "input_unavailable"
        assert response.headers["retry-after"] == "1"


def test_no_try_begins_behind_the_deadline_of_the_request() -> None:
    objects = Objects([StoreUnavailable("slow down")] * 3)
    assert asked(objects, entry(), objects.clock() + 0.8).status == 503
    assert len(objects.store.fetched) == 2


def test_what_the_store_will_never_deliver_is_refused() -> None:
    assert asked(Objects([StoreError("no such bucket")]), entry()).status == 424


def test_the_clouds_own_client_reads_what_plain_requests_cannot() -> None:
    other = MemoryStore(OBJECTS)
    objects = Objects([UseSdk("compressed", lambda: other)])
    assert asked(objects, entry()).status == 200
    assert other.fetched == ["rows.bin"]


def echo(datatype: Any) -> tuple[Signature, Callable[..., Any]]:
    signature = Signature(
        (Input("features", datatype, (-1, 3), "tensor"),), (Output("y", datatype, (-1, 3), "tensor"),)
    )
    return signature, tuple


def test_bytes_that_are_no_booleans_are_refused() -> None:
    objects = Objects(objects={"a": b"\0\1\0", "b": b"\0\1\2"})
    served = service(*echo(BOOL), read_object=objects.read)
    good, bad = (infer(served, entry(f"gs://inputs/mine/{name}", 1, datatype="BOOL")) for name in "ab")
    assert json.loads(good.body)["outputs"][0]["data"] == [False, True, False]
    assert (bad.status, json.loads(bad.body)["error"]) == (400, "expected bytes of 0 or 1 (BOOL)")


def test_texts_have_no_size_and_cannot_be_referred_to() -> None:
    response = infer(service(*echo(BYTES), read_object=Objects().read), entry(datatype="BYTES"))
    assert "BYTES cannot be sent by reference" in json.loads(response.body)["error"]


def test_an_empty_tensor_has_no_bytes_to_read() -> None:
    response = infer(
        service(*echo(BOOL), read_object=Objects().read), entry("gs://inputs/mine/none.bin", 0, datatype="BOOL")
    )
    assert json.loads(response.body)["outputs"][0]["shape"] == [0, 3]
