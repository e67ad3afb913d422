"""Google Cloud as a rollout uses it: the service, the request log, the new revision at its tag's URL."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pilotlight_cli.gcp import GcpError, RevisionFailed
from pilotlight_cli.gcp.api import Api
from pilotlight_cli.gcp.gcloud import Gcloud, Run, run_gcloud
from pilotlight_cli.gcp.golden import Caller, Expected
from pilotlight_cli.gcp.logs import read_errors, read_requests
from pilotlight_cli.gcp.plan import Observation
from pilotlight_cli.gcp.services import Service, Services, Share
from pilotlight_cli.gcp.settings import TAG, GcpSettings

# gcloud's own variables for another endpoint of an API, such as a private one.
_ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_{}"

_TOKEN_SECONDS = 1200.0  # a token is valid for an hour; gcloud may return one that expires in five minutes
_RETRY_PAUSES = (2.0, 5.0)  # seconds before each retry of a log query


@dataclass(frozen=True, slots=True)
class Google:
    """An environment's project and region, accessed as the account signed in to gcloud."""

    settings: GcpSettings
    gcloud: Gcloud
    services: Services
    monitoring: Api
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def caller(self, audience: str) -> Caller:
        """Return a caller of the function at this URL; its tokens are valid for a tag's URL too."""
        return Caller(lambda: self.gcloud.identity_token(audience, self.settings.invoker), self.clock, self.sleep)


@dataclass(frozen=True, slots=True)
class LivePlatform:
    """See `rollout.Platform`. Without `expected` it can only roll back."""

    google: Google
    service: str
    expected: Expected | None

    def read(self) -> Service:
        """See `Platform.read`."""
        return self.google.services.read(self.service)

    def write(self, service: Service, annotations: dict[str, str], traffic: tuple[Share, ...]) -> None:
        """See `Platform.write`."""
        self.google.services.write(service, annotations, traffic)

    def observe(self, revision: str, old: str, since: datetime, probe_id: str) -> Observation:
        """See `Platform.observe`. Retries failed queries, which are no reason to roll back."""
        for pause in (*_RETRY_PAUSES, None):
            try:
                return self._observe(revision, old, since, probe_id)
            except GcpError:
                if pause is None:
                    raise
                self.google.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _observe(self, revision: str, old: str, since: datetime, probe_id: str) -> Observation:
        gcloud, region = self.google.gcloud, self.google.settings.region
        observed = read_requests(gcloud, region, self.service, revision, since=since, probe_id=probe_id)
        if not old:
            return observed
        beside = read_requests(gcloud, region, self.service, old, since=since, probe_id=probe_id)
        errors = read_errors(gcloud, region, self.service, revision, old, since=since)
        return replace(observed, errors=errors, old_ms=beside.latencies_ms)

    def probe(self, service: Service, probe_id: str) -> tuple[int, Sequence[str]]:
        """See `Platform.probe`."""
        if TAG not in service.tags or self.expected is None:
            raise RevisionFailed(f"the tag {TAG} of {service.name} was removed")
        return self.google.caller(service.uri).check(service.tags[TAG], self.expected, probe_id)


def connect(
    settings: GcpSettings,
    environ: Mapping[str, str],
    *,
    run: Run = run_gcloud,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Google:
    """Return a client of an environment. Makes no call yet."""
    gcloud = Gcloud(settings.project, run)
    token = _CachedToken(gcloud, clock)
    run_api, monitoring = (
        Api(environ.get(_ENDPOINT.format(name.upper())) or f"https://{name}.googleapis.com/", token, sleep=sleep)
        for name in ("run", "monitoring")
    )
    services = Services(run_api, settings.project, settings.region, clock=clock, sleep=sleep)
    return Google(settings, gcloud, services, monitoring, clock, sleep)


@dataclass(slots=True)
class _CachedToken:
    """An access token, cached: gcloud takes a second to return one, and a rollback should not wait for that."""

    gcloud: Gcloud
    clock: Callable[[], float]
    _token: str = ""
    _since: float = field(default=0.0)

    def __call__(self, fresh: bool) -> str:
        if fresh or not self._token or self.clock() - self._since > _TOKEN_SECONDS:
            self._token, self._since = self.gcloud.access_token(), self.clock()
        return self._token
