"""Everything Pilotlight raises on purpose.

PilotlightError
├── SettingsError            an environment variable is unknown or malformed
├── FormatError              a lock, manifest or golden file does not match its schema
├── ModelError               the model can never be served as it is, so the start has to fail
│   ├── DigestMismatch       the bytes are not the bytes that the lock pins
│   ├── NoRoom               the temporary folder has no room for the model
│   ├── RuntimeMismatch      a library is missing or has another version than the lock names
│   └── UnsafePickle         a pickle uses something outside its allow-list
├── StoreError               the store did not deliver
│   ├── StoreUnavailable     it may deliver later: 5xx, throttling, resets, timeouts
│   └── ObjectRefused        403 or 404, which a fresh role or a missing object gives
└── RequestError             an error for the caller, with its HTTP status
    ├── InvalidRequest       400
    ├── Forbidden            403
    ├── NotFound             404
    ├── MethodNotAllowed     405
    ├── RequestTimeout       408
    ├── TooLarge             413
    ├── UnsupportedMediaType 415
    ├── FeatureMissing       422
    ├── InputRefused         424
    ├── Internal             500
    ├── BadFeature           502
    ├── NotReady             503
    ├── FeaturesUnavailable  503
    ├── InputUnavailable     503
    └── PredictionTimeout    504
"""

from __future__ import annotations


def origin(error: Exception) -> BaseException:
    """Return a library's own error: the cause of a Pilotlight error, or else the error itself."""
    return error.__cause__ or error


class PilotlightError(Exception):
    """The base of all errors that Pilotlight raises on purpose."""


class SettingsError(PilotlightError):
    """A setting in the environment is unknown or malformed; the message names it."""


class FormatError(PilotlightError):
    """A file does not follow its format; `path` is the JSON path of the place, or empty for the file as a whole."""

    def __init__(self, message: str, path: str = "$", file: str = "") -> None:
        super().__init__(": ".join(part for part in (file, path, message) if part))
        self.message = message
        self.path = path

    def within(self, file: str) -> FormatError:
        """Return the same error with the name of its file."""
        return FormatError(self.message, self.path, file)


class ModelError(PilotlightError):
    """The pinned model cannot be served, and trying again will not help."""


class DigestMismatch(ModelError):
    """Bytes differ from what the lock pins by size and SHA-256."""


class NoRoom(ModelError):
    """The temporary folder cannot hold the model's files."""


class RuntimeMismatch(ModelError):
    """A library that the lock names is missing or has another version."""


class UnsafePickle(ModelError):
    """A pickle uses something outside its allow-list; none of it was run."""


class StoreError(PilotlightError):
    """The model store did not deliver an object."""


class StoreUnavailable(StoreError):
    """A passing fault of the store or of the way to it; worth another try."""


class ObjectRefused(StoreError):
    """The store returned 403 or 404. Without the permission to list, a missing object is a 403 too."""


class RequestError(PilotlightError):
    """An HTTP error response. `code` is a stable slug, `path` the JSON path of the fault or None."""

    status = 400
    code = "invalid_request"

    def __init__(self, message: str, path: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        if code is not None:
            self.code = code

    def headers(self) -> dict[str, str]:
        """Return the extra headers of this error's response."""
        return {}


class InvalidRequest(RequestError):
    """400: the body or a header does not match the model's signature."""


class Forbidden(RequestError):
    """403: an input names an object that this function may not read for its callers."""

    status = 403
    code = "forbidden"


class NotFound(RequestError):
    """404: unknown route, model or version."""

    status = 404
    code = "not_found"


class MethodNotAllowed(RequestError):
    """405: the route accepts other methods."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        """Return the methods that the resource supports (RFC 9110, 15.5.6)."""
        return {"allow": ", ".join(self.allowed)}


class RequestTimeout(RequestError):
    """408: the body did not arrive within the time that a request has for that."""

    status = 408
    code = "request_timeout"

    def __init__(self) -> None:
        super().__init__("the body did not arrive in time")


class TooLarge(RequestError):
    """413: the body, or the response to it, exceeds the limit."""

    status = 413
    code = "too_large"


class UnsupportedMediaType(RequestError):
    """415: the route does not support the body's media type or encoding."""

    status = 415
    code = "unsupported_media_type"


class FeatureMissing(RequestError):
    """422: the feature store has no value for the entity, and the feature has no default."""

    status = 422
    code = "feature_missing"


class InputRefused(RequestError):
    """424: the object that an input names is missing, or the function may not read it."""

    status = 424
    code = "input_refused"


class Internal(RequestError):
    """500: its message is fixed, since the cause is for the log only."""

    status = 500
    code = "internal"


class BadFeature(RequestError):
    """502: the feature store has a value of another type than the model takes. Only the log shows the value."""

    status = 502
    code = "bad_feature"


class InputUnavailable(RequestError):
    """503: the store did not deliver the object that an input names; worth another try."""

    status = 503
    code = "input_unavailable"

    def headers(self) -> dict[str, str]:
        """Return when to try again (RFC 9110, 10.2.3)."""
        return {"retry-after": "1"}


class FeaturesUnavailable(RequestError):
    """503: the feature store did not answer in time, or not at all; worth another try."""

    status = 503
    code = "features_unavailable"

    def headers(self) -> dict[str, str]:
        """Return when to try again (RFC 9110, 10.2.3)."""
        return {"retry-after": "1"}


class NotReady(RequestError):
    """503: the model is not loaded yet. `retry_after` is in seconds."""

    status = 503
    code = "not_ready"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Return when to try again (RFC 9110, 10.2.3)."""
        return {"retry-after": str(self.retry_after)}


class PredictionTimeout(RequestError):
    """504: the prediction was still running at the request's deadline, and was stopped.

    Not a 503: another try with the same input would end the same way.
    """

    status = 504
    code = "prediction_timeout"

    def __init__(self) -> None:
        super().__init__("the model did not answer in time")
