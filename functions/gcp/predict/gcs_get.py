"""An object from Cloud Storage by plain GETs, with nothing but the standard library.

https://cloud.google.com/storage/docs/json_api/v1/objects/get. The lock names no generation, its digest is the pin. What
is pinned here is the generation that the first answer tells: all that is asked for after it is of the same object.
X-Goog-Hash is not looked at. TLS keeps the bytes on their way, the core holds them against the lock's SHA-256, and one
more hash would cost every cold start what is next to never of use.
"""

from __future__ import annotations

from collections.abc import Callable

from metadata_token import TokenSource
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight.fetch.download import Span
from pilotlight.fetch.http_client import Address, Connection, HttpResponse, percent_encoded
from pilotlight.fetch.protocol import Timer
from pilotlight.fetch.ranges import Replaced
from pilotlight.frozen import dataclass

_CAUSES = (
    "Either the object is not there, or the function's service account may not read it (it needs storage.objects.get "
    "on the bucket)"
)
_SAID = 500  # bytes of an error's body


def refused(said: str) -> ObjectRefused:
    """A 403 or a 404, with what both can mean."""
    return ObjectRefused(f"{said}. {_CAUSES}")


@dataclass(frozen=True, slots=True)
class GcsGet:
    """A `pilotlight.fetch.ranges.Source`. `tokens` is None for an emulator, which wants none.

    `unforeseen` makes, of a reason, what is raised where Google's client may know what to do.
    """

    address: Address
    bucket: str
    name: str
    tokens: TokenSource | None
    unforeseen: Callable[[str], StoreError]

    def reach(self, connection: Connection, timer: Timer) -> None:
        """See `Source`."""
        connection.reach(self.address, timer)

    def open(self, connection: Connection, span: Span | None, pin: str, timer: Timer) -> HttpResponse:
        """See `Source`."""
        target = f"/storage/v1/b/{percent_encoded(self.bucket)}/o/{percent_encoded(self.name)}?alt=media"
        if pin:
            target += f"&generation={pin}"
        headers = {"Accept-Encoding": "identity"}
        if span:
            headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        response = connection.get(self.address, target, headers | self._authorization(connection, timer), timer)
        if response.status not in (200, 206, 416):
            raise self._refusal(response, pin, timer)
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self.unforeseen("the object comes compressed")
        return response

    def pin_of(self, response: HttpResponse) -> str:
        """See `Source`."""
        generation = response.headers.get("x-goog-generation", "")
        return generation if generation.isdecimal() else ""

    def _authorization(self, connection: Connection, timer: Timer) -> dict[str, str]:
        if self.tokens is None:
            return {}
        asked = self.tokens.ask(timer.next())
        try:
            connection.reach(self.address, timer)  # TLS is set up while the token comes
            return {"Authorization": f"Bearer {asked.token(timer.next())}"}
        finally:
            asked.close()

    def _refusal(self, response: HttpResponse, pin: str, timer: Timer) -> StoreError:
        status = response.status
        said = " ".join(f"{status} {response.first_words(_SAID, timer)}".split())
        if pin and status in (404, 412):
            return Replaced(f"the object was replaced while it came ({said})")
        if status in (403, 404):
            return refused(said)
        if status == 401 and self.tokens:
            self.tokens.forget()
        if status in (401, 408, 429) or status >= 500:
            return StoreUnavailable(said)
        return self.unforeseen(said)
