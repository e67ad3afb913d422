"""An object from S3 by signed GETs, with nothing but the standard library.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html. The lock names no ETag, its digest is the pin. What
is pinned here is the ETag that the first answer tells: all that is asked for after it is of the same object.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pilotlight.errors import StoreError
from pilotlight.fetch.download import Span
from pilotlight.fetch.http_client import Address, Connection, HttpResponse
from pilotlight.fetch.protocol import Timer
from pilotlight.fetch.ranges import Replaced
from pilotlight.frozen import dataclass, replace
from s3_answers import refusal
from s3_place import Access, is_known, place
from s3_signature import Signer

_TRIES = 3  # of one request: for another region, for a clock that is wrong, and what comes of it
_NOTEWORTHY = 60.0  # seconds; S3 takes a clock that is 15 minutes off
_SAID = 4096  # bytes of an error's body: more than S3 says
_PART = re.compile(r"<(Code|Message|Region|ServerTime)>([^<]*)</")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Known:
    """What answers have told: the bucket's region, and by how many seconds this machine's clock is behind S3's."""

    region: str = ""
    behind: float = 0.0


class Learned:
    """What is known so far, for every thread that asks."""

    def __init__(self) -> None:
        self.known = Known()


@dataclass(frozen=True, slots=True)
class S3Get:
    """A `pilotlight.fetch.ranges.Source`.

    `now` is in seconds since 1970. `unforeseen` makes, of a reason, what is raised where boto3 may know what to do.
    """

    bucket: str
    name: str
    access: Access
    learned: Learned
    now: Callable[[], float]
    unforeseen: Callable[[str], StoreError]

    def reach(self, connection: Connection, timer: Timer) -> None:
        """See `Source`."""
        connection.reach(self._place(self.learned.known)[0], timer)

    def open(self, connection: Connection, span: Span | None, pin: str, timer: Timer) -> HttpResponse:
        """See `Source`."""
        asked = {"Accept-Encoding": "identity"}
        if span:
            asked["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        if pin:
            asked["If-Match"] = pin
        tries = 0
        while True:
            tries += 1
            known = self.learned.known
            response = self._ask(connection, asked, known, timer)
            if response.status in (200, 206, 416):
                return response
            said = dict(_PART.findall(response.first_words(_SAID, timer)))
            if tries == _TRIES or not self._has_learned(response, said, known):
                raise self._refusal(response, said, pin)

    def pin_of(self, response: HttpResponse) -> str:
        """See `Source`."""
        return response.headers.get("etag", "")

    def _place(self, known: Known) -> tuple[Address, str]:
        return place(self.bucket, self.name, known.region or self.access.region, self.access.endpoint)

    def _ask(self, connection: Connection, asked: dict[str, str], known: Known, timer: Timer) -> HttpResponse:
        address, target = self._place(known)
        signer = Signer(self.access.credentials, known.region or self.access.region)
        headers = signer.signed(address.authority, target, asked, self.now() + known.behind)
        return connection.get(address, target, headers, timer)

    def _has_learned(self, response: HttpResponse, said: dict[str, str], known: Known) -> bool:
        """Whether the answer tells more than was `known` when it was asked for."""
        region = response.headers.get("x-amz-bucket-region") or said.get("Region", "")
        if response.status in (301, 302, 307, 400) and is_known(region):
            self.learned.known = replace(known, region=region)
            return region != (known.region or self.access.region)
        if said.get("Code") == "RequestTimeTooSkewed" and (there := _seconds(response.headers.get("date", ""))):
            behind = there - self.now()
            self.learned.known = replace(known, behind=behind)
            return abs(behind - known.behind) > _NOTEWORTHY
        return False

    def _refusal(self, response: HttpResponse, said: dict[str, str], pin: str) -> StoreError:
        code = said.get("Code", "")
        message = f"{response.status} {code}: {said.get('Message', '')}".strip(": ")
        if response.status == 412 and pin:
            return Replaced(f"the object was replaced while it came ({message})")
        found = refusal(response.status, code, message)
        is_known_to_boto3 = type(found) is StoreError or code == "SignatureDoesNotMatch"
        return self.unforeseen(message) if is_known_to_boto3 else found


def _seconds(date: str) -> float:
    """A Date header (RFC 9110, 5.6.7) in seconds since 1970, or 0 for something else."""
    found = re.fullmatch(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", date, re.ASCII)
    if not found or found[2] not in _MONTHS:
        return 0.0
    year, month, day = int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1])
    # Days before a date, counted in years that begin with March: https://en.wikipedia.org/wiki/Julian_day.
    shifted, of_year = year - (month < 3), (month + 9) % 12
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + (153 * of_year + 2) // 5 + day - 719_469
    return float(((days * 24 + int(found[4])) * 60 + int(found[5])) * 60 + int(found[6]))
