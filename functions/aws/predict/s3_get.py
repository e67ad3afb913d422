"""An object from S3 by signed GETs, with the standard library alone.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html. The lock pins the digest and names no ETag. The ETag
of the first response pins the object for the requests that follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight.fetch import Deadline, Span
from pilotlight.fetch.http_client import Address, Connection, HttpResponse
from pilotlight.fetch.ranges import Replaced
from pilotlight.frozen import dataclass, replace
from s3_place import Access, is_known, place
from s3_signature import Signer

_MAX_TRIES = 3  # of one request: for another region, for a wrong clock, and for both
_MIN_SKEW = 60.0  # seconds; S3 accepts a clock that is 15 minutes off
_MAX_ERROR_BYTES = 4096  # more than S3 sends
_ELEMENT = re.compile(r"<(Code|Message|Region|ServerTime)>([^<]*)</")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Codes of a 4xx after which a retry may succeed: the platform renews credentials.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_TRANSIENT = frozenset(
    (
        *("ExpiredToken", "ExpiredTokenException", "RequestTimeout", "SlowDown", "OperationAborted"),
        *("Throttling", "ThrottlingException", "RequestLimitExceeded", "KMS.ThrottlingException"),
    )
)


def error_of(status: int, code: str, message: str) -> StoreError:
    """Return the error for S3's refusal. StoreError itself is for one that is permanent, or unknown here."""
    if code in _TRANSIENT or status in (408, 429) or not 300 <= status < 500:
        return StoreUnavailable(message)
    if status in (403, 404):
        return ObjectRefused(
            f"{message.rstrip('.')}. Either the object does not exist, or the function's role may not read it (without "
            "s3:ListBucket a missing object is a 403 too)"
        )
    return StoreError(message)


@dataclass(frozen=True, slots=True)
class Corrections:
    """The bucket's region, empty while unknown, and how many seconds this machine's clock is behind S3's."""

    region: str = ""
    clock_skew: float = 0.0


class Learned:
    """The corrections so far, shared by all threads of a store."""

    def __init__(self) -> None:
        self.corrections = Corrections()


@dataclass(frozen=True, slots=True)
class S3Get:
    """A `pilotlight.fetch.ranges.Source`.

    `now` is in seconds since 1970. `unsupported` makes the error, from a reason, for a response that boto3 may handle.
    """

    bucket: str
    name: str
    access: Access
    learned: Learned
    now: Callable[[], float]
    unsupported: Callable[[str], StoreError]

    def reach(self, connection: Connection, deadline: Deadline) -> None:
        """See `Source`."""
        connection.reach(self._place(self.learned.corrections)[0], deadline)

    def open(self, connection: Connection, span: Span | None, pin: str, deadline: Deadline) -> HttpResponse:
        """See `Source`."""
        headers = {"Accept-Encoding": "identity"}
        if span:
            headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        if pin:
            headers["If-Match"] = pin
        tries = 0
        while True:
            tries += 1
            corrections = self.learned.corrections
            response = self._send(connection, headers, corrections, deadline)
            if response.status in (200, 206, 416):
                return response
            elements = dict(_ELEMENT.findall(response.read_text(_MAX_ERROR_BYTES, deadline)))
            if tries == _MAX_TRIES or not self._learn(response, elements, corrections):
                raise self._error(response, elements, pin)

    def pin_of(self, response: HttpResponse) -> str:
        """See `Source`."""
        return response.headers.get("etag", "")

    def _place(self, corrections: Corrections) -> tuple[Address, str]:
        return place(self.bucket, self.name, corrections.region or self.access.region, self.access.endpoint)

    def _send(
        self, connection: Connection, headers: dict[str, str], corrections: Corrections, deadline: Deadline
    ) -> HttpResponse:
        address, target = self._place(corrections)
        signer = Signer(self.access.credentials, corrections.region or self.access.region)
        signed = signer.signed(address.authority, target, headers, self.now() + corrections.clock_skew)
        return connection.get(address, target, signed, deadline)

    def _learn(self, response: HttpResponse, elements: dict[str, str], used: Corrections) -> bool:
        """Return whether the response corrects what its request `used`, so that a retry may succeed."""
        region = response.headers.get("x-amz-bucket-region") or elements.get("Region", "")
        if response.status in (301, 302, 307, 400) and is_known(region):
            self.learned.corrections = replace(used, region=region)
            return region != (used.region or self.access.region)
        date = _seconds(response.headers.get("date", ""))
        if elements.get("Code") == "RequestTimeTooSkewed" and date:
            skew = date - self.now()
            self.learned.corrections = replace(used, clock_skew=skew)
            return abs(skew - used.clock_skew) > _MIN_SKEW
        return False

    def _error(self, response: HttpResponse, elements: dict[str, str], pin: str) -> StoreError:
        code = elements.get("Code", "")
        message = f"{response.status} {code}: {elements.get('Message', '')}".strip(": ")
        if response.status == 412 and pin:
            return Replaced(f"the object was replaced during the fetch ({message})")
        error = error_of(response.status, code, message)
        is_for_boto3 = type(error) is StoreError or code == "SignatureDoesNotMatch"
        return self.unsupported(message) if is_for_boto3 else error


def _seconds(date: str) -> float:
    """Return a Date header (RFC 9110, 5.6.7) in seconds since 1970, or 0 if it has another form."""
    match = re.fullmatch(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", date, re.ASCII)
    if not match or match[2] not in _MONTHS:
        return 0.0
    year, month, day = int(match[3]), _MONTHS.index(match[2]) + 1, int(match[1])
    # Days before a date, counted in years that begin with March: https://en.wikipedia.org/wiki/Julian_day.
    march_year, march_month = year - (month < 3), (month + 9) % 12
    days = 365 * march_year + march_year // 4 - march_year // 100 + march_year // 400
    days += (153 * march_month + 2) // 5 + day - 719_469
    return float(((days * 24 + int(match[4])) * 60 + int(match[5])) * 60 + int(match[6]))
