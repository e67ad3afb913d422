"""The status of a refusal: one table from the HTTP statuses of the core's errors to gRPC's codes."""

from __future__ import annotations

from collections.abc import Mapping

from grpc import StatusCode

from pilotlight.errors import RequestError

# https://grpc.io/docs/guides/status-codes/. Clients try again after UNAVAILABLE alone.
CODES: Mapping[int, StatusCode] = {
    400: StatusCode.INVALID_ARGUMENT,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    405: StatusCode.UNIMPLEMENTED,
    408: StatusCode.DEADLINE_EXCEEDED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    415: StatusCode.INVALID_ARGUMENT,
    422: StatusCode.FAILED_PRECONDITION,
    424: StatusCode.FAILED_PRECONDITION,
    500: StatusCode.INTERNAL,
    502: StatusCode.FAILED_PRECONDITION,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}

# Characters of a message: it is sent as metadata, of which clients take 8 KiB, and each may become 12 bytes there.
_LONGEST = 500


def details(error: RequestError) -> str:
    """Return a status's message: the place of the fault, if it has one, and the error's own message."""
    text = f"{error.path}: {error.message}" if error.path else error.message
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
