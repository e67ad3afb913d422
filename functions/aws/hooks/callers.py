"""Whether a new version still answers the callers of the one that serves."""

from __future__ import annotations

import json

from pilotlight.codec.golden_requests import GoldenRequest, error_text, to_request
from pilotlight.model.contract import model_changes
from version_checks import CheckFailed, Functions, Version, http_event, http_response, read_version

# Time to send the serving version's samples in, after the first one.
CALLERS_SECONDS = 5.0


def check_callers(functions: Functions, serving: str, target: Version) -> str:
    """Compare both versions' contracts, then send the serving version's golden samples to the new one.

    Neither is done for a shift back, for a model that goes back to an earlier version of its own, for one whose lock
    says that it may break callers, and where the serving version cannot describe itself. Return the finding as the end
    of a sentence. Raise CheckFailed if the contract breaks callers, or if a sample is not answered with 200.
    """
    if int(serving) >= int(target.number):
        return ""
    try:
        before = read_version(functions, serving)
    except CheckFailed as error:
        return f"; its callers' requests were not sent, as the version before cannot describe itself: {error}"
    old, new = (f"{version.model.name}:{version.model.version}" for version in (before, target))
    if before.model.name == target.model.name and before.model.version > target.model.version:
        return f"; it goes back from {old}, so that its contract was not compared"
    if target.breaking:
        return f"; its lock allows it to break callers of {old}"
    broken = [
        f"{change.text}: {change.breaks}" for change in model_changes(before.model, target.model) if change.breaks
    ]
    if broken:
        raise CheckFailed(
            f"{new} breaks callers of {old}, which serves: {'; '.join(broken)}; if the callers are ready, run "
            f"'pilotlight pin {new} --breaking' and deploy again"
        )
    return f"; it takes {_send_samples(functions, before, target)} golden sample(s) of {old}"


def _send_samples(functions: Functions, before: Version, target: Version) -> int:
    """Send the samples; return how many were answered with 200. Raise CheckFailed at the first that was not."""
    requests = [to_request(before.model.signature, sample) for sample in before.golden.samples]
    deadline = functions.clock() + CALLERS_SECONDS
    sent = 0
    for number, request in enumerate(requests, 1):
        if request is None:
            continue
        _send(functions, target, request, f"golden sample {number} of {before.model.name}:{before.model.version}")
        sent += 1
        if functions.clock() > deadline:
            break
    return sent


def _send(functions: Functions, target: Version, request: GoldenRequest, name: str) -> None:
    result, _ = functions.invoke(target.number, http_event("POST", request.path, json.dumps(request.body)))
    status, document = http_response(result)
    if status != 200:
        raise CheckFailed(
            f"{name}, which serves: {functions.name}:{target.number} answers with status {status}, expected 200: "
            f"{error_text(document)}"
        )
