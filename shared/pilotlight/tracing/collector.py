"""Where spans go, by the environment variables that OpenTelemetry defines for every exporter.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pilotlight.errors import SettingsError
from pilotlight.fetch.http_client import Address
from pilotlight.frozen import dataclass

_Value = TypeVar("_Value")

_BASE = "OTEL_EXPORTER_OTLP_"
_OWN = "OTEL_EXPORTER_OTLP_TRACES_"
_SAMPLER = "OTEL_TRACES_SAMPLER"
_PATH = "/v1/traces"
_PROTOCOL = "http/json"
_MILLISECONDS = "10000"
_PARENT = "parentbased_"

ENDPOINTS = (f"{_OWN}ENDPOINT", f"{_BASE}ENDPOINT")
"""The variables of which one has to name a collector."""

VARIABLES = (
    *(
        f"{start}{name}"
        for start in (_BASE, _OWN)
        for name in ("ENDPOINT", "PROTOCOL", "TIMEOUT", "HEADERS", "CERTIFICATE")
    ),
    *("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", _SAMPLER, f"{_SAMPLER}_ARG"),
)

# Each platform's name for the function, and for what of it runs.
_NAMES = ("AWS_LAMBDA_FUNCTION_NAME", "K_SERVICE")
_VERSIONS = ("AWS_LAMBDA_FUNCTION_VERSION", "K_REVISION")


@dataclass(frozen=True, slots=True)
class Collector:
    """A receiver of OTLP by HTTP. `seconds` bounds an export; `resource` are the attributes of what sends.

    `certificates` is a PEM file instead of the system's, or empty. `ratio` is the share of traces that are exported;
    with `follows_parent`, of those alone that no caller has decided.
    """

    address: Address
    target: str
    headers: Mapping[str, str]
    certificates: str
    seconds: float
    resource: Mapping[str, str]
    ratio: float
    follows_parent: bool


def read_collector(environ: Mapping[str, str], default_name: str) -> Collector:
    """Read the variables; what they do not say of the service is the platform's name for it, or `default_name`.

    Raises SettingsError for a value that is not valid, and for a protocol other than HTTP with JSON.
    """
    own = environ.get(ENDPOINTS[0], "")
    variable = ENDPOINTS[0] if own else ENDPOINTS[1]
    address, path = _checked(_url, variable, own or environ[variable], "http:// or https://, a host and a port")
    protocol_variable, protocol = _either(environ, "PROTOCOL", _PROTOCOL)
    if protocol != _PROTOCOL:
        raise SettingsError(f"{protocol_variable} is {protocol!r}; expected {_PROTOCOL}, the one that is spoken here")
    seconds = _checked(_milliseconds, *_either(environ, "TIMEOUT", _MILLISECONDS), "milliseconds above 0")
    headers = _checked(_pairs, *_either(environ, "HEADERS", ""), "NAME=VALUE, separated by commas")
    resource = _checked(
        _pairs,
        "OTEL_RESOURCE_ATTRIBUTES",
        environ.get("OTEL_RESOURCE_ATTRIBUTES", ""),
        "KEY=VALUE, with commas between",
    )
    name = environ.get("OTEL_SERVICE_NAME") or resource.get("service.name") or _first(environ, _NAMES) or default_name
    version = _first(environ, _VERSIONS)
    sampler = environ.get(_SAMPLER) or f"{_PARENT}always_on"
    return Collector(
        address,
        path if own else f"{path.rstrip('/')}{_PATH}",
        headers,
        _either(environ, "CERTIFICATE", "")[1],
        seconds,
        {**({"service.version": version} if version else {}), **resource, "service.name": name},
        _ratio(sampler.removeprefix(_PARENT), environ),
        sampler.startswith(_PARENT),
    )


def _ratio(sampler: str, environ: Mapping[str, str]) -> float:
    if sampler == "traceidratio":
        variable = f"{_SAMPLER}_ARG"
        return _checked(_share, variable, environ.get(variable) or "1", "a number from 0 to 1")
    known = {"always_on": 1.0, "always_off": 0.0}
    if sampler not in known:
        expected = f"always_on, always_off or traceidratio, also after {_PARENT}"
        raise SettingsError(f"{_SAMPLER} is {environ[_SAMPLER]!r}; expected {expected}")
    return known[sampler]


def _checked(read: Callable[[str], _Value], variable: str, text: str, expected: str) -> _Value:
    try:
        return read(text)
    except ValueError:
        found = "not valid" if variable.endswith("HEADERS") else repr(text)  # headers have keys that no log should
        raise SettingsError(f"{variable} is {found}; expected {expected}") from None


def _either(environ: Mapping[str, str], name: str, default: str) -> tuple[str, str]:
    """Return the variable for traces alone, if it is set, or that for all signals, and its value."""
    own = environ.get(_OWN + name, "")
    return (_OWN + name, own) if own else (_BASE + name, environ.get(_BASE + name) or default)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _url(text: str) -> tuple[Address, str]:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise ValueError
    tls = parts.scheme == "https"
    return Address(tls=tls, host=parts.hostname, port=parts.port or (443 if tls else 80)), parts.path or "/"


def _milliseconds(text: str) -> float:
    if (value := int(text)) < 1:
        raise ValueError
    return value / 1000


def _share(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError
    return value


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, separator, value = part.partition("=")
        if not separator or not name.strip():
            raise ValueError
        found[unquote(name.strip())] = unquote(value.strip())
    return found
