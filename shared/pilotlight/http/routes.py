"""Every route: its method, its path, and the forms of its bodies. Service, docs and tests share the table."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.frozen import EMPTY, dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """A route. `{m}` in its path is the model's name and `{v}` its version.

    `accepts` and `returns` name the forms of the request's and the response's body; `accepts` is empty without a body.
    A route has one method; GET implies HEAD, and every route supports OPTIONS.
    """

    method: str
    path: str
    accepts: str
    returns: str

    @property
    def methods(self) -> tuple[str, ...]:
        """All supported methods, for the header `allow`."""
        return ("GET", "HEAD", "OPTIONS") if self.method == "GET" else (self.method, "OPTIONS")


ROUTES = (
    Route("POST", "/predict", "instance", "prediction"),
    Route("POST", "/predict_batch", "instances", "predictions"),
    Route("GET", "/health", "", "status"),
    Route("GET", "/health/live", "", "status"),
    Route("GET", "/health/ready", "", "status"),
    Route("GET", "/health/startup", "", "status"),
    Route("GET", "/openapi.json", "", "openapi"),
    Route("GET", "/v2", "", "v2 server"),
    Route("GET", "/v2/", "", "v2 server"),  # as the protocol's own OpenAPI document spells it
    Route("GET", "/v2/health/live", "", "v2 live"),
    Route("GET", "/v2/health/ready", "", "v2 ready"),
    Route("GET", "/v2/models/{m}", "", "v2 model"),
    Route("GET", "/v2/models/{m}/versions/{v}", "", "v2 model"),
    Route("GET", "/v2/models/{m}/ready", "", "v2 model ready"),
    Route("GET", "/v2/models/{m}/versions/{v}/ready", "", "v2 model ready"),
    Route("POST", "/v2/models/{m}/infer", "v2 inference", "v2 outputs"),
    Route("POST", "/v2/models/{m}/versions/{v}/infer", "v2 inference", "v2 outputs"),
    Route("GET", "/", "", "v1 live"),
    Route("GET", "/v1/models", "", "v1 models"),
    Route("POST", "/v1/models/{m}:predict", "v1 instances", "plain predictions"),
    Route("GET", "/v1/models/{m}", "", "v1 model"),
    Route("POST", "/invocations", "mlflow frame", "plain predictions"),
    Route("POST", "/bigquery", "bigquery calls", "bigquery replies"),
    Route("GET", "/ping", "", "status"),
    Route("GET", "/version", "", "version"),
)

_FIXED = {route.path: route for route in ROUTES if "{" not in route.path}


def _patterns() -> dict[int, list[tuple[Route, list[str]]]]:
    patterns: dict[int, list[tuple[Route, list[str]]]] = {}
    for route in ROUTES:
        if "{" in route.path:
            parts = route.path.split("/")
            patterns.setdefault(len(parts), []).append((route, parts))
    return patterns


# By the number of parts, so that a path is compared with few of them.
_PATTERNS = _patterns()


def find(path: str) -> tuple[Route, Mapping[str, str]] | None:
    """Return the route of a path and the values of `m` and `v` in the path, or None.

    Paths are compared literally: a slash at the end or another case makes another path.
    """
    route = _FIXED.get(path)
    if route is not None:
        return route, EMPTY
    parts = path.split("/")
    for route, pattern in _PATTERNS.get(len(parts), ()):
        values = _match(pattern, parts)
        if values is not None:
            return route, values
    return None


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    values = {}
    for expected, found in zip(pattern, parts, strict=True):
        if expected[:1] != "{":
            if found != expected:
                return None
            continue
        name, _, ending = expected[1:].partition("}")
        value = found.removesuffix(ending)
        if not found.endswith(ending) or not value or ":" in value:  # V1's verbs follow a colon, which no name contains
            return None
        values[name] = value
    return values
