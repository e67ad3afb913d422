"""A service whose model takes features that a real store has."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from doubles import COLUMNS, Records, service
from pilotlight.features.lookup import FeatureLookup
from pilotlight.features.plan import read_plan
from pilotlight.features.store import OpenFeatures, open_features
from pilotlight.http.messages import Request
from pilotlight.model.tensor import FP32, Tensor
from pilotlight.service import Service


@dataclass
class Scene:
    """A service, the rows that its model had, and a clock that can be put forward."""

    plan: str
    stores: Mapping[str, OpenFeatures] = field(default_factory=dict)
    ahead: float = 0.0
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    records: Records = field(default_factory=Records)

    def __post_init__(self) -> None:
        self.service = self._service()

    def _service(self) -> Service:
        plan = read_plan(self.plan.encode(), COLUMNS)
        self.lookup = FeatureLookup(plan, open_features(plan, self.stores, {}), clock=self.clock, now=self.now)
        return service(COLUMNS, self._predict, features=self.lookup, clock=self.clock, records=self.records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lookup.close()

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    def now(self) -> float:
        return time.time() + self.ahead

    def _predict(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        rows = list(zip(*(tensor.values() for tensor in inputs), strict=True))
        self.rows += rows
        return (Tensor(FP32, (len(rows), 1), struct.pack(f"{len(rows)}f", *(row[2] for row in rows))),)

    def send(self, path: str, document: object = None) -> tuple[int, dict[str, Any]]:
        """Return the status and the document of a reply."""
        method = "GET" if document is None else "POST"
        body = b"" if document is None else json.dumps(document).encode()
        response = self.service.handle(Request(method, path, {"content-type": "application/json"}, body))
        return response.status, json.loads(response.body)

    def batch(self, *instances: object) -> Any:
        """Return the rows that the model had for instances, or the status, code and path of the error."""
        self.rows.clear()
        status, document = self.send("/predict_batch", {"instances": instances})
        return list(self.rows) if status == 200 else (status, document["code"], document["path"])


MakeScene = Callable[..., Scene]


def plan_of(url: str, key: str, head: str = "", more: Sequence[str] = ()) -> str:
    """Return a plan for flats: city and rooms are looked up, and rooms has a default; the area comes with a request."""
    lines = [f'store = "{url}"', key, head, "[entity]", 'flat_id = "INT64"', 'country = "BYTES"']
    lines += ["[features]", "city = {}", 'rooms = { column = "n_rooms", default = 2 }', *more]
    return "\n".join(lines)
