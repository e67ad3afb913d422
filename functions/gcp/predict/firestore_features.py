"""Features in Firestore: a document under each key, read by one documents:batchGet.

https://cloud.google.com/firestore/docs/reference/rest/v1/projects.databases.documents/batchGet. Google's client takes
longer to import than a cold start has.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from firestore_values import to_value
from gcs_store import AUTHORITIES, plain_address, token_source
from metadata_token import TokenSource
from pilotlight.errors import SettingsError, StoreUnavailable
from pilotlight.features.connections import Pool
from pilotlight.features.plan import FeaturePlan, Key
from pilotlight.features.store import MAX_CONNECT
from pilotlight.features.values import Stored
from pilotlight.fetch import Deadline
from pilotlight.fetch.http_client import Address, Connection, percent_encoded
from pilotlight.fetch.tls import Trust

_GOOGLE = Address(tls=True, host="firestore.googleapis.com", port=443)
_MAX_REPLY = 32 << 20

# https://cloud.google.com/firestore/quotas#collections_documents_and_fields
_NO_DOCUMENT = re.compile(r"(?s).*/.*|\.\.?|__.*__")
_MAX_NAME = 1500  # bytes
_PLAIN_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class FirestoreFeatures:
    """`firestore://PROJECT/COLLECTION[?database=NAME]`."""

    def __init__(
        self,
        url: str,
        plan: FeaturePlan,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        address: Address = _GOOGLE,
    ) -> None:
        """`environ` may have an emulator, instead of `address`, in FIRESTORE_EMULATOR_HOST.

        Raise SettingsError for credentials other than those of the metadata server, and for proxies.
        """
        parts = urlsplit(url)
        database = parse_qs(parts.query).get("database", ["(default)"])[0]
        root = f"projects/{parts.netloc}/databases/{database}/documents"
        self._target = f"/v1/{percent_encoded(root, b'/:()')}:batchGet"
        self._parent = f"{root}{parts.path}/"
        self._columns = plan.columns
        self._fields = [_field_path(column) for column in plan.columns]
        self._clock = clock
        emulator = _emulator(environ)
        self._address = emulator or address
        self._tokens = None if emulator else _tokens(environ, clock)
        self._trust = Trust(AUTHORITIES)
        self._pool = Pool(self._open, clock)

    def read(self, keys: Sequence[Key], deadline: float) -> list[Stored]:
        """See `FeatureStore`."""
        names = [str(key[0]) for key in keys]
        asked = [self._parent + name for name in names if _can_be_document(name)]
        found = self._pool.use(lambda one: self._documents(one, asked, deadline), deadline) if asked else {}
        return [found.get(self._parent + name) for name in names]

    def connect(self) -> None:
        """See `FeatureStore`."""
        self._pool.connect()

    def close(self) -> None:
        """See `FeatureStore`."""
        self._pool.close()

    def _open(self) -> Connection:
        connection = Connection(self._trust)
        within = Deadline(self._clock, self._clock() + MAX_CONNECT)
        connection.reach(self._address, within)
        try:
            self._authorization(within)  # so that the first request finds a token
        except BaseException:
            connection.close()
            raise
        return connection

    def _documents(self, connection: Connection, names: Sequence[str], deadline: float) -> dict[str, Stored]:
        """Return the rows of those documents that exist, by their names."""
        within = Deadline(self._clock, deadline, is_whole=True)
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **self._authorization(within)}
        body = json.dumps({"documents": names, "mask": {"fieldPaths": self._fields}}).encode()
        response = connection.post(self._address, self._target, headers, body, within)
        content = response.read_text(
            _MAX_REPLY if response.length is None else min(response.length, _MAX_REPLY), within
        )
        if response.error:
            raise response.error
        if response.status == 401 and self._tokens:
            self._tokens.forget()
        if response.status != 200:
            raise StoreUnavailable(f"Firestore: {response.status} {' '.join(content[:500].split())}")
        try:
            documents = [one["found"] for one in json.loads(content) if "found" in one]
        except ValueError:
            raise StoreUnavailable(f"Firestore: expected JSON of up to {_MAX_REPLY >> 20} MB") from None
        return {one["name"]: self._row(one.get("fields", {})) for one in documents}

    def _row(self, fields: Mapping[str, Mapping[str, Any]]) -> Stored:
        return {column: to_value(fields[column]) for column in self._columns if column in fields}

    def _authorization(self, within: Deadline) -> dict[str, str]:
        if self._tokens is None:
            return {}
        request = self._tokens.request(within.next_timeout())
        try:
            return {"Authorization": f"Bearer {request.token(within.next_timeout())}"}
        finally:
            request.close()


def _emulator(environ: Mapping[str, str]) -> Address | None:
    """Return the emulator that the environment names, which needs no token."""
    named = environ.get("FIRESTORE_EMULATOR_HOST")
    if not named:
        return None
    host, _, port = named.rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(f"FIRESTORE_EMULATOR_HOST: expected host:port, found {named!r}")
    return Address(tls=False, host=host, port=int(port))


def _tokens(environ: Mapping[str, str], clock: Callable[[], float]) -> TokenSource:
    if plain_address({**environ, "STORAGE_EMULATOR_HOST": ""}) is None:
        raise SettingsError(
            "Firestore is reached as the instance's own service account and without a proxy: remove "
            "GOOGLE_APPLICATION_CREDENTIALS and the variables of proxies, universes and client certificates"
        )
    return token_source(environ, clock)


def _can_be_document(name: str) -> bool:
    """Whether a document can have this ID. Another is never asked for: with a slash it would name another place."""
    return not _NO_DOCUMENT.fullmatch(name) and 0 < len(name.encode()) <= _MAX_NAME


def _field_path(column: str) -> str:
    """Return a column as a field path: https://cloud.google.com/firestore/docs/reference/rest/v1/DocumentMask."""
    if _PLAIN_FIELD.fullmatch(column):
        return column
    quoted = column.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{quoted}`"
