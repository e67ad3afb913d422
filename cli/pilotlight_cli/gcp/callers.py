"""Whether a release still answers the callers of the version that serves on Google Cloud."""

from __future__ import annotations

from dataclasses import replace

from pilotlight.codec.golden_requests import to_request
from pilotlight.errors import PilotlightError
from pilotlight.model.contract import model_changes
from pilotlight.model.lock import Description
from pilotlight_cli.gcp import GcpError, functions
from pilotlight_cli.gcp.golden import Expected
from pilotlight_cli.gcp.platform import Google
from pilotlight_cli.gcp.services import Service
from pilotlight_cli.gcp.state import full_traffic_revision
from pilotlight_cli.pinning.pin import check_compatible
from pilotlight_cli.registry.golden_file import golden_of, stored_golden
from pilotlight_cli.registry.versions import resolve
from pilotlight_cli.stores import open_store


class UnknownCallers(GcpError):
    """Nothing says what callers of the serving revision expect; the message says why."""


def with_callers(google: Google, service: Service, expected: Expected) -> Expected:
    """Add the golden requests of the version that serves, which a new revision has to answer with 200.

    None are added if that is the same version, if the model goes back to an earlier version of its own, or if the lock
    allows it to break callers. Raise BreakingChange for a contract that breaks them; UnknownCallers if the version that
    serves is not known or cannot be read.
    """
    serving = _serving(google, service)
    model = expected.model
    if expected.breaking or (serving.name == model.name and serving.version >= model.version):
        return expected
    again = f"if the callers are ready, run 'pilotlight pin {model.name}:{model.version} --breaking' and deploy again"
    check_compatible(serving, model, model_changes(serving, model), f"nothing was deployed; {again}", "which serves")
    golden = golden_of(serving.signature, stored_golden(open_store(google.settings.store), serving))
    requests = (to_request(serving.signature, sample) for sample in golden.samples)
    return replace(expected, callers=tuple(request for request in requests if request))


def _serving(google: Google, service: Service) -> Description:
    """Return the version that serves, by the function's labels, which are those of its newest revision."""
    function = functions.find(google.gcloud, google.settings)
    revision = full_traffic_revision(service)
    labels = function.labels if function and function.revision == revision else {}
    if "pilotlight-version" not in labels:
        raise UnknownCallers(f"no label says which version {revision} serves")
    reference = f"{labels['pilotlight-model']}:{labels['pilotlight-version']}"
    try:
        return resolve(open_store(google.settings.store), reference).model
    except PilotlightError as error:
        raise UnknownCallers(f"{revision} serves {reference}, which cannot be read: {error}") from None
