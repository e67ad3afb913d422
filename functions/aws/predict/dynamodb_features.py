"""Features in DynamoDB: an item under each key, read by BatchGetItem.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html. A call takes 100 keys and returns
items in any order; those of more keys are sent at once. What a call leaves unprocessed is asked for again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from dynamodb_values import to_values
from pilotlight.errors import StoreError, StoreUnavailable
from pilotlight.features.connections import Pool
from pilotlight.features.plan import FeaturePlan, Id, Key
from pilotlight.features.store import MAX_CONNECT
from pilotlight.features.values import Stored
from pilotlight.fetch import Deadline
from pilotlight.fetch.http_client import Address, Connection
from pilotlight.fetch.tls import Trust
from s3_place import Access, domain, service_access
from s3_signature import Signer
from s3_store import AUTHORITIES

_MOST_KEYS = 100  # of a call
_MOST_CALLS = 8  # at once
_MAX_REPLY = 17 << 20  # DynamoDB sends 16 MB at most
_FIRST_PAUSE = 0.005  # seconds, doubled each time
_TYPES = frozenset(("S", "N", "BOOL", "NULL"))  # of values; others are no feature

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_TRANSIENT = frozenset(
    (
        *("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"),
        *("InternalServerError", "InternalServerErrorException", "ServiceUnavailableException"),
    )
)


class Busy(StoreUnavailable):
    """DynamoDB could not read now, and may in a moment."""


class Client(Protocol):
    """A connection to DynamoDB."""

    def batch_get(self, tables: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
        """Return the reply to a BatchGetItem of these RequestItems. Raise OSError, StoreError; Busy to try again."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class DynamoDBFeatures:
    """`dynamodb://TABLE`, in the function's own region."""

    def __init__(
        self,
        url: str,
        plan: FeaturePlan,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`environ` has the credentials, the region and the endpoint."""
        self._table = url.removeprefix("dynamodb://")
        self._attributes = [part.attribute for part in plan.key]
        self._names = {
            f"#{index}": name for index, name in enumerate(dict.fromkeys([*self._attributes, *plan.columns]))
        }
        self._environ = environ
        self._clock = clock
        self._sleep = sleep
        self._trust = Trust(AUTHORITIES, environ.get("AWS_CA_BUNDLE") or environ.get("REQUESTS_CA_BUNDLE"))
        self._pool = Pool(self._open, clock)

    def read(self, keys: Sequence[Key], deadline: float) -> list[Stored]:
        """See `FeatureStore`."""
        parts = [keys[start : start + _MOST_KEYS] for start in range(0, len(keys), _MOST_KEYS)]
        found: dict[Key, Stored] = {}
        for items in self._items(parts, deadline):
            for item in items:
                known = {name: value for name, value in item.items() if value.keys() <= _TYPES}
                found[tuple(_id(item[name]) for name in self._attributes)] = item | to_values([known])[0]
        return [found.get(key) for key in keys]

    def connect(self) -> None:
        """See `FeatureStore`."""
        self._pool.connect()

    def close(self) -> None:
        """See `FeatureStore`."""
        self._pool.close()

    def _items(self, parts: Sequence[Sequence[Key]], deadline: float) -> Iterable[list[dict[str, Any]]]:
        """Return the items of each part; several are read at once."""
        if len(parts) == 1:
            return [self._part(parts[0], deadline)]
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - few requests have so many ids

        with ThreadPoolExecutor(min(len(parts), _MOST_CALLS)) as pool:
            return list(pool.map(lambda part: self._part(part, deadline), parts))

    def _part(self, keys: Sequence[Key], deadline: float) -> list[dict[str, Any]]:
        """Return the items under up to 100 keys."""
        pending: Mapping[str, Any] = {
            self._table: {
                "Keys": [dict(zip(self._attributes, map(_typed, key), strict=True)) for key in keys],
                "ProjectionExpression": ",".join(self._names),
                "ExpressionAttributeNames": self._names,
            }
        }
        items: list[dict[str, Any]] = []
        pause = _FIRST_PAUSE
        while True:
            try:
                reply = self._pool.use(lambda client, asked=pending: client.batch_get(asked, deadline), deadline)  # type: ignore[misc]
                items += reply["Responses"].get(self._table, ())
                pending = reply.get("UnprocessedKeys") or {}
            except Busy:
                if self._clock() + pause >= deadline:
                    raise
            if not pending:
                return items
            if self._clock() + pause >= deadline:
                raise TimeoutError("DynamoDB left keys unprocessed")
            self._sleep(pause)
            pause *= 2

    def _open(self) -> Client:
        access = service_access("DYNAMODB", self._environ)
        if access is None:
            from dynamodb_boto3 import Boto3Client  # noqa: PLC0415 - slower to import than the rest of a start

            return Boto3Client()
        return PlainClient(access, self._environ, self._trust, self._clock)


class PlainClient:
    """DynamoDB by signed requests. The environment may have other credentials for each of them."""

    def __init__(self, access: Access, environ: Mapping[str, str], trust: Trust, clock: Callable[[], float]) -> None:
        """Connect. Raise OSError, and StoreError for certificates."""
        host = f"dynamodb.{access.region}.{domain(access.region)}"
        self._address = access.endpoint or Address(tls=True, host=host, port=443)
        self._environ = environ
        self._clock = clock
        self._connection = Connection(trust)
        self._connection.reach(self._address, Deadline(clock, clock() + MAX_CONNECT))

    def batch_get(self, tables: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
        """See `Client`."""
        access = service_access("DYNAMODB", self._environ)
        if access is None:
            raise StoreUnavailable("the environment has no credentials any more")
        body = json.dumps({"RequestItems": tables}).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.BatchGetItem",
            "Accept-Encoding": "identity",
        }
        signer = Signer(access.credentials, access.region, "dynamodb")
        signed = signer.signed(self._address.authority, "/", headers, time.time(), body)
        within = Deadline(self._clock, deadline, is_whole=True)
        response = self._connection.post(self._address, "/", signed, body, within)
        content = response.read_text(
            _MAX_REPLY if response.length is None else min(response.length, _MAX_REPLY), within
        )
        if response.error:
            raise response.error
        try:
            reply: Mapping[str, Any] = json.loads(content)
        except ValueError:
            raise StoreUnavailable(f"DynamoDB: {response.status} without JSON") from None
        if response.status != 200:
            raise error_of(reply.get("__type", ""), reply.get("message") or reply.get("Message") or "")
        return reply

    def close(self) -> None:
        """See `Client`."""
        self._connection.close()


def error_of(kind: str, message: str) -> StoreError:
    """Return the error for an exception of DynamoDB."""
    name = kind.rpartition("#")[2]
    return (Busy if name in _TRANSIENT else StoreUnavailable)(f"DynamoDB: {name}: {message}")


def _typed(value: Id) -> dict[str, str]:
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


def _id(typed: Mapping[str, str]) -> Id:
    return int(typed["N"]) if "N" in typed else typed.get("S", "")
