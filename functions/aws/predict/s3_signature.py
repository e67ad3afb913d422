"""Signatures of requests to S3 and DynamoDB, version 4.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping

from pilotlight.frozen import dataclass

_EMPTY_DIGEST = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; `token` is empty for a long-term key."""

    key_id: str
    secret: str
    token: str

    def __repr__(self) -> str:
        """Return the key's id, without the secrets."""
        return f"Credentials({self.key_id!r})"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs requests to a service in a region with an access key."""

    credentials: Credentials
    region: str
    service: str = "s3"

    def signed(
        self, authority: str, target: str, headers: Mapping[str, str], now: float, body: bytes | None = None
    ) -> dict[str, str]:
        """Return the headers of a GET, or of a POST if there is a body, with its signature.

        `authority` is the Host header, `target` the path as sent: percent-encoded once, without a query. `now` is
        in seconds since 1970.
        """
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        method, digest = "GET", _EMPTY_DIGEST
        if body is not None:
            method, digest = "POST", hashlib.sha256(body).hexdigest()
        sent = {"Host": authority, **headers, "X-Amz-Content-SHA256": digest, "X-Amz-Date": moment}
        if self.credentials.token:
            sent["X-Amz-Security-Token"] = self.credentials.token
        canonical = sorted((name.lower(), value.strip()) for name, value in sent.items())
        names = ";".join(name for name, _ in canonical)
        lines = "".join(f"{name}:{value}\n" for name, value in canonical)
        request = f"{method}\n{target}\n\n{lines}\n{names}\n{digest}"
        day = moment[:8]
        scope = f"{day}/{self.region}/{self.service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.credentials.secret}".encode()
        for part in (day, self.region, self.service, "aws4_request", text):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"Credential={self.credentials.key_id}/{scope}"
        sent["Authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={key.hex()}"
        return sent
