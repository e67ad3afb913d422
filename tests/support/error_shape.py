"""The shape of every error, and the one helper that checks replies for it."""

from __future__ import annotations

import json

from cases import Case
from drivers import Reply


def check_refusal(reply: Reply, case: Case) -> None:
    """Check that a reply is a case's error: status, code, place, the beginning of its message, nothing else."""
    assert reply.headers["content-type"] == "application/json", reply.body
    body = json.loads(reply.body)
    assert (reply.status, body["code"], body["path"]) == (case.status, case.code, case.place), body
    assert body["error"].startswith(case.message), body
    assert list(body) == ["error", "code", "path", "request_id"]
    assert body["request_id"] == reply.headers["x-request-id"]
    assert (reply.headers.get("allow") is not None) == (case.status == 405)
