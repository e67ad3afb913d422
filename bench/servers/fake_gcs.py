"""A small Cloud Storage: what Pilotlight and Google's client use of its JSON API, in memory, on a free port.

gcp-storage-emulator takes every write and serves whatever is newest. This fake has generations, preconditions and
faults on demand. It follows https://cloud.google.com/storage/docs/json_api: a write and its precondition are one step,
a replaced object's generation is gone, a resumable upload is checked when it begins and again when it ends.
"""

from __future__ import annotations

import json
import re
import secrets
import ssl
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from servers.faults import Fault, Faults, Kind, Server, reset
from servers.gcs_objects import Buckets, Refused, StoredObject, crc32c

__all__ = ["FakeGcs", "Fault"]


@dataclass
class Upload:
    """A resumable upload under way."""

    bucket: str
    resource: dict[str, Any]
    query: dict[str, str]
    received: bytes = b""
    done: StoredObject | None = None


class FakeGcs:
    """A server for the duration of a `with`, at `url`. `requests` lists "METHOD /path?query" of all that was asked.

    `ranges` are the Range headers of requests for an object's bytes. Where there are `tokens`, only who brings one of
    them is let in.
    """

    def __init__(self, *buckets: str, tls: ssl.SSLContext | None = None, tokens: Collection[str] | None = None) -> None:
        self.buckets = Buckets(*buckets)
        self.tokens = tokens
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.uploads: dict[str, Upload] = {}
        self.faults = Faults()
        self._server = _Server(self, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def inject(self, fault: Fault, times: int = 1) -> None:
        """Let `fault` happen to the next `times` requests of its kind."""
        self.faults.inject(fault, times)

    def put(self, bucket: str, name: str, content: bytes) -> int:
        """Store an object as if somebody else had; its generation."""
        return self.buckets.write(bucket, {"name": name}, content, {}).generation


class _Server(Server):
    def __init__(self, fake: FakeGcs, tls: ssl.SSLContext | None) -> None:
        self.fake = fake
        super().__init__(_Handler, tls)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 60

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody reads it."""

    def do_GET(self) -> None:
        self.fake = self.server.fake
        self.fake.requests.append(f"{self.command} {self.path}")
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query))
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.bucket, _, self.name = (*map(unquote, url.path.partition("storage/v1/b/")[2].split("/")), "", "")[:3]
        kind: Kind = "media" if self.query.get("alt") == "media" else "metadata"
        if url.path.startswith("/upload/"):
            kind = "upload"
        if kind == "media":
            self.fake.ranges.append(self.headers.get("Range", ""))
        self.fault = self.fake.faults.take(kind)
        if self.fault and self.fake.faults.send_no_answer(self, self.fault):
            return
        try:
            self._answer(kind)
        except Refused as refused:
            self._refuse(refused, as_json=kind == "metadata")

    do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self, kind: Kind) -> None:
        if self.fault and self.fault.kind == "status":
            raise Refused(self.fault.status, "injected")
        if not self.headers.get("Host"):
            raise Refused(400, "RFC 9112, 3.2: a request has a Host")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.fake.tokens is not None and token not in self.fake.tokens:
            raise Refused(401, "Invalid Credentials")
        {"upload": self._upload, "media": self._media, "metadata": self._metadata}[kind]()

    def _metadata(self) -> None:
        if not self.name:
            self._json(self._listing())
            return
        if self.command == "DELETE":
            self.fake.buckets.delete(self.bucket, self.name, self.query)
            self._send(204, {}, b"")
        else:
            self._json(self.fake.buckets.find(self.bucket, self.name, self.query).resource())

    def _listing(self) -> dict[str, Any]:
        objects = self.fake.buckets.objects(self.bucket)
        prefix, after = self.query.get("prefix", ""), self.query.get("pageToken", "")
        names = sorted(name for name in objects if name.startswith(prefix) and name > after)
        page = names[: int(self.query.get("maxResults", 1000))]
        more = {"nextPageToken": page[-1]} if len(page) < len(names) else {}
        return {"items": [objects[name].resource() for name in page], **more}

    def _upload(self) -> None:
        if "upload_id" in self.query:
            self._continue(self.fake.uploads[self.query["upload_id"]])
        elif self.query["uploadType"] == "resumable":
            self._begin(json.loads(self.body))
        elif self.query["uploadType"] == "multipart":  # RFC 2387: the resource, then the content
            boundary = self.headers["Content-Type"].partition("boundary=")[2].strip("'\"").encode()
            parts = [part.partition(b"\r\n\r\n")[2] for part in self.body.split(b"--" + boundary)]
            self._write(json.loads(parts[1]), parts[2].removesuffix(b"\r\n"))
        else:
            self._write({"name": self.query["name"]}, self.body)

    def _write(self, resource: dict[str, Any], content: bytes) -> None:
        self._json(self.fake.buckets.write(self.bucket, resource, content, self.query).resource())

    def _begin(self, resource: dict[str, Any]) -> None:
        resource.setdefault("name", self.query.get("name"))
        self.fake.buckets.check(self.bucket, resource["name"], self.query)
        upload_id = secrets.token_hex(8)
        self.fake.uploads[upload_id] = Upload(self.bucket, resource, self.query)
        self._send(200, {"Location": f"{self.fake.url}{self.path}&upload_id={upload_id}"}, b"")

    def _continue(self, upload: Upload) -> None:
        """Accept a chunk, or a status query (`bytes */SIZE`). A finished upload gets the same response again."""
        start, size = re.findall(r"bytes (\d+|\*).*/(\d+|\*)", self.headers["Content-Range"])[0]
        if upload.done is None and start != "*":
            upload.received = upload.received[: int(start)] + self.body
        if upload.done is None and size == str(len(upload.received)):
            hashes = dict(re.findall(r"(crc32c)=([^,]+)", self.headers.get("X-Goog-Hash", "")))
            upload.done = self.fake.buckets.write(
                upload.bucket, upload.resource | hashes, upload.received, upload.query
            )
        if upload.done:
            self._json(upload.done.resource())
        else:
            self._send(308, {"Range": f"bytes=0-{len(upload.received) - 1}"} if upload.received else {}, b"")

    def _media(self) -> None:
        found = self.fake.buckets.find(self.bucket, self.name, self.query)
        content, status = found.content, 200
        headers = {
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Stored-Content-Length": str(len(content)),
            "X-Goog-Hash": f"crc32c={crc32c(content)}",
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and not (self.fault and self.fault.kind == "odd"):
            start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            if start >= len(content):
                raise Refused(416, "The requested range cannot be satisfied.")
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        self._send(status, headers, content, self.fault)

    def _json(self, reply: dict[str, Any]) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(reply).encode())

    def _refuse(self, refused: Refused, *, as_json: bool) -> None:
        """Only the metadata's routes say it in JSON."""
        headers = dict(self.fault.headers) if self.fault else {}
        error = {"error": {"code": refused.status, "message": str(refused)}}
        self._send(refused.status, headers, (json.dumps(error) if as_json else str(refused)).encode())

    def _send(self, status: int, headers: Mapping[str, str], content: bytes, spoiled: Fault | None = None) -> None:
        if self.fault and self.fault.kind == "lost":
            reset(self)
            return
        self.send_response(status)
        told = {**headers, "Content-Length": str(len(content)), **(spoiled.headers if spoiled else {})}
        for name, value in told.items():
            if not spoiled or name not in spoiled.without:
                self.send_header(name, value)
        self.end_headers()
        if spoiled:
            self.fake.faults.send_body(self, content, spoiled)
        else:
            self.wfile.write(content)
