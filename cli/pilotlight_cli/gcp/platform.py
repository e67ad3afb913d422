"""Google Cloud as a rollout needs it: the service, the request log, the new revision at its tag's URL."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pilotlight_cli.gcp import GcpError, NotGood
from pilotlight_cli.gcp.api import Api
from pilotlight_cli.gcp.gcloud import Gcloud, Run, run_gcloud
from pilotlight_cli.gcp.golden import Caller, Expected
from pilotlight_cli.gcp.logs import requests_of
from pilotlight_cli.gcp.plan import Seen
from pilotlight_cli.gcp.services import Service, Services, Share
from pilotlight_cli.gcp.settings import TAG, GcpSettings

# gcloud's own variable for another endpoint of Cloud Run: a private one, or that of a test.
_ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"

_TOKEN_SECONDS = 1200.0  # a token lives for an hour; gcloud may hand out one that has five minutes left
_PAUSES = (2.0, 5.0)  # seconds before the log is asked again


@dataclass(frozen=True, slots=True)
class Google:
    """An environment's project and region, seen as whoever is signed in to gcloud."""

    settings: GcpSettings
    gcloud: Gcloud
    services: Services
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def caller(self, audience: str) -> Caller:
        """Whoever may call the function at this URL. A tag's URL takes the tokens for the service's own."""
        return Caller(lambda: self.gcloud.identity_token(audience, self.settings.invoker), self.clock, self.sleep)


@dataclass(frozen=True, slots=True)
class LivePlatform:
    """See `rollout.Platform`. Without what is expected it can only go back."""

    google: Google
    service: str
    expected: Expected | None

    def read(self) -> Service:
        """See `Platform.read`."""
        return self.google.services.read(self.service)

    def write(self, seen: Service, annotations: dict[str, str], traffic: tuple[Share, ...]) -> None:
        """See `Platform.write`."""
        self.google.services.write(seen, annotations, traffic)

    def seen(self, revision: str, since: datetime, mark: str) -> Seen:
        """See `Platform.seen`. A log that does not answer once is asked again: that is no reason to go back."""
        google = self.google
        for pause in (*_PAUSES, None):
            try:
                return requests_of(
                    google.gcloud, google.settings.region, self.service, revision, since=since, mark=mark
                )
            except GcpError:
                if pause is None:
                    raise
                google.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def probe(self, service: Service, mark: str) -> tuple[int, Sequence[str]]:
        """See `Platform.probe`."""
        if TAG not in service.tags or self.expected is None:
            raise NotGood(f"the tag {TAG} of {service.name} is gone; somebody removed it")
        return self.google.caller(service.uri).check(service.tags[TAG], self.expected, mark)


def connect(
    settings: GcpSettings,
    environ: Mapping[str, str],
    *,
    run: Run = run_gcloud,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Google:
    """Reach an environment. Asks nothing yet."""
    gcloud = Gcloud(settings.project, run)
    endpoint = environ.get(_ENDPOINT) or "https://run.googleapis.com/"
    api = Api(endpoint, _Tokens(gcloud, clock), sleep=sleep)
    services = Services(api, settings.project, settings.region, clock=clock, sleep=sleep)
    return Google(settings, gcloud, services, clock, sleep)


@dataclass(slots=True)
class _Tokens:
    """An access token, kept for a while: gcloud takes a second to give one, and going back should not wait for it."""

    gcloud: Gcloud
    clock: Callable[[], float]
    _token: str = ""
    _since: float = field(default=0.0)

    def __call__(self, fresh: bool) -> str:
        if fresh or not self._token or self.clock() - self._since > _TOKEN_SECONDS:
            self._token, self._since = self.gcloud.access_token(), self.clock()
        return self._token
