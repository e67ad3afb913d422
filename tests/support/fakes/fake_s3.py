"""A small S3: GETs of objects, as strict as S3's own, in memory, on a free port, with faults on demand.

moto accepts any signature, any clock and any region. This fake follows
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html and the pages on signatures and errors: it signs each
request again with botocore's own signer, knows the region of a bucket, and supports ranges and If-Match.
"""

from __future__ import annotations

import re
import ssl
import time
import zlib
from calendar import timegm
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from threading import Lock, Thread
from typing import Self
from urllib.parse import unquote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from servers.faults import Fault, Faults, Server, reset

__all__ = ["FakeS3", "Fault"]

KEY_ID, SECRET, TOKEN = "AKIAFAKE", "a/secret+of=nobody", "a+token/of=nobody"

_SKEW = 900  # seconds


@dataclass
class _Bucket:
    """A bucket and what is in it: contents with their ETags."""

    region: str
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)


class Refused(Exception):
    """A response other than the object."""

    def __init__(self, status: int, code: str, more: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.more = more
        self.headers = headers or {}


class FakeS3:
    """A server for the duration of a `with`, at `url`. It has one bucket, `models`, in us-east-1.

    The bucket is in the path, or in the host's name where that is one of AWS's own.

    `ranges`, `conditions` and `regions` are what each request had for a range, as If-Match and in its signature.
    `before_body` is called between head and body of each answer, with its number from 1. `ahead` is by how many seconds
    its clock is ahead of this machine's. Tokens in `expired` are refused.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.buckets = {"models": _Bucket("us-east-1")}
        self.ranges: list[str] = []
        self.conditions: list[str] = []
        self.regions: list[str] = []
        self.connections = 0
        self._counting = Lock()
        self.before_body: Callable[[int], object] = lambda _: None
        self.ahead = 0.0
        self.expired: set[str] = set()
        self.faults = Faults()
        self._server = _Server(self, tls, address)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
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
        """Commit `fault` with the next `times` requests."""
        self.faults.inject(fault, times)

    def put(self, key: str, content: bytes) -> None:
        """Store an object in `models`."""
        self.buckets["models"].objects[key] = content, f'"{zlib.crc32(content):032x}"'

    def count_connection(self) -> None:
        """Count another connection, from any thread."""
        with self._counting:
            self.connections += 1

    def count_request(self, byte_range: str, condition: str) -> int:
        """Record what a request has for a range and as If-Match, from any thread; return its number, from 1."""
        with self._counting:
            self.ranges.append(byte_range)
            self.conditions.append(condition)
            return len(self.ranges)

    def environ(self) -> dict[str, str]:
        """Return the variables of a function that may read it, as Lambda sets them."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.url,
        }


class _Server(Server):
    def __init__(self, fake: FakeS3, tls: ssl.SSLContext | None, address: tuple[str, int]) -> None:
        self.fake = fake
        super().__init__(_Handler, tls, address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 60
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.fake.count_connection()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody reads it."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the Date header, by this server's own clock."""
        return formatdate(time.time() + self.server.fake.ahead if timestamp is None else timestamp, usegmt=True)

    def do_GET(self) -> None:
        self.fake = self.server.fake
        self.number = self.fake.count_request(self.headers.get("Range", ""), self.headers.get("If-Match", ""))
        self.fault = self.fake.faults.take("media")
        if self.fault and self.fake.faults.send_no_answer(self, self.fault):
            return
        try:
            self._answer()
        except Refused as refused:
            body = f"<Error><Code>{refused.code}</Code><Message>told by the fake</Message>{refused.more}</Error>"
            self._send(refused.status, {"Transfer-Encoding": "chunked", **refused.headers}, body.encode())

    def _answer(self) -> None:
        if self.fault and self.fault.kind == "status":
            raise Refused(self.fault.status, self.fault.code, self.fault.more, self.fault.headers)
        name, _, key = f"{self._bucket_in_host()}{unquote(self.path)}".removeprefix("/").partition("/")
        bucket = self.fake.buckets.get(name)
        self._check_caller(bucket)
        if bucket is None:
            raise Refused(404, "NoSuchBucket")
        if key not in bucket.objects:
            raise Refused(404, "NoSuchKey")
        (content, etag), status = bucket.objects[key], 200
        if self.headers.get("If-Match", etag) != etag:
            raise Refused(412, "PreconditionFailed")
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and not (self.fault and self.fault.kind == "odd"):
            start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            if start > end:
                raise Refused(416, "InvalidRange", headers={"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        self._send(status, headers, content, self.fault)

    def _bucket_in_host(self) -> str:
        found = re.fullmatch(r"([a-z0-9-]+)\.s3\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", self.headers["Host"])
        return found[1] if found else ""

    def _check_caller(self, bucket: _Bucket | None) -> None:
        """Clock, token, key, region and signature, in this order."""
        authorization = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/s3/aws4_request, SignedHeaders=(\S+), Signature=(\w+)",
            self.headers.get("Authorization", ""),
        )
        if not authorization:
            raise Refused(403, "AccessDenied")
        key_id, region, names, signature = authorization.groups()
        self.fake.regions.append(region)
        moment = self.headers["X-Amz-Date"]
        asked_at = timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ"))
        if abs(asked_at - time.time() - self.fake.ahead) > _SKEW:
            raise Refused(403, "RequestTimeTooSkewed")
        token = self.headers.get("X-Amz-Security-Token", "")
        if token in self.fake.expired:
            raise Refused(400, "ExpiredToken")
        if key_id != KEY_ID:
            raise Refused(403, "InvalidAccessKeyId")
        if bucket and region != bucket.region:
            headers = {"x-amz-bucket-region": bucket.region}
            raise Refused(301, "PermanentRedirect", "<Endpoint>elsewhere</Endpoint>", headers)
        sent = {name: self.headers[name] for name in names.split(";")}
        request = AWSRequest("GET", f"{self.fake.url}{self.path}", headers=sent)
        if signature != _signature(request, region, token):
            raise Refused(403, "SignatureDoesNotMatch")

    def _send(self, status: int, headers: Mapping[str, str], content: bytes, spoiled: Fault | None = None) -> None:
        if self.fault and self.fault.kind == "lost":
            self.close_connection = True
            reset(self)
            return
        self.send_response(status)
        fields = {"Content-Length": str(len(content)), **headers, **(spoiled.headers if spoiled else {})}
        if "Transfer-Encoding" in fields:
            del fields["Content-Length"]
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        for name, value in fields.items():
            if not spoiled or name not in spoiled.without:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        self.fake.before_body(self.number)
        if spoiled:
            self.fake.faults.send_body(self, content, spoiled)
        else:
            self.wfile.write(content)


def _signature(request: AWSRequest, region: str, token: str) -> str:
    """Return botocore's signature of a request with these headers."""
    request.context["timestamp"] = request.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(KEY_ID, SECRET, token or None), "s3", region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(text, request))
