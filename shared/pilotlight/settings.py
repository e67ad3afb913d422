"""Settings, read once from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pilotlight.errors import SettingsError
from pilotlight.frozen import dataclass

PREFIX = "PILOTLIGHT_"
DEFAULT_LOG_LEVEL = "INFO"
DEFAULT_NAMESPACE = "Pilotlight"
_NAMES = {"STORE", "LOCK", "LOG_LEVEL", "METRICS_NAMESPACE", "MAX_BODY_BYTES", "THREADS", "RELEASE", "CORS_ORIGINS"}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment decides.

    `store` is the model store's URL and `lock` the path of the lock. Lines below `log_level` are not written.
    `max_body_bytes` bounds a decoded request and a decoded reply: the default of 4.5 MB stays below Lambda's 6 MB after
    base64. `threads` is how many threads one prediction may use; where the variable is empty or missing, one for each
    whole processor. `release` is the digest of the release that this function belongs to, or empty where its deployment
    named none. `cors_origins` are those whose pages may call from a browser, or `*`; none by default.
    """

    store: str
    lock: Path
    log_level: str
    metrics_namespace: str
    max_body_bytes: int
    threads: int
    release: str = ""
    cors_origins: tuple[str, ...] = ()


def read_settings(environ: Mapping[str, str], folder: Path, processors: int = 1) -> Settings:
    """The settings in `environ`, on a machine of so many processors.

    The lock lies in `folder` unless a variable says otherwise.

    Raises SettingsError for an unknown PILOTLIGHT_ variable, a malformed value, or a missing store.
    """
    given = {name.removeprefix(PREFIX): value for name, value in environ.items() if name.startswith(PREFIX)}
    unknown = sorted(given.keys() - _NAMES)
    if unknown:
        raise SettingsError(f"{PREFIX}{unknown[0]} is not a setting; docs/reference/settings.md lists them")
    return Settings(
        store=_store(given.get("STORE", "")),
        lock=folder / given.get("LOCK", "model.lock"),
        log_level=_level(given.get("LOG_LEVEL", DEFAULT_LOG_LEVEL)),
        metrics_namespace=_namespace(given.get("METRICS_NAMESPACE", DEFAULT_NAMESPACE)),
        max_body_bytes=_count("MAX_BODY_BYTES", given.get("MAX_BODY_BYTES", "4500000")),
        threads=_count("THREADS", given.get("THREADS") or str(processors)),
        release=_release(given.get("RELEASE", "")),
        cors_origins=_origins(given.get("CORS_ORIGINS", "")),
    )


def _store(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    bucket = rest.partition("/")[0]
    if not separator or scheme not in ("s3", "gs", "file") or not rest or (scheme != "file" and not bucket):
        raise SettingsError(
            f"{PREFIX}STORE is {url!r}; expected the model store's URL, "
            "like s3://bucket/prefix, gs://bucket/prefix or file:///folder"
        )
    return url.rstrip("/")


def _level(value: str) -> str:
    if value not in LEVELS:
        raise SettingsError(f"{PREFIX}LOG_LEVEL is {value!r}; expected one of {', '.join(LEVELS)}")
    return value


def _namespace(value: str) -> str:
    """CloudWatch's rule for a namespace, which Cloud Logging takes too."""
    if not re.fullmatch(r"(?!AWS/)[A-Za-z0-9./_#-][A-Za-z0-9./_#: -]{0,254}", value):
        raise SettingsError(
            f"{PREFIX}METRICS_NAMESPACE is {value!r}; expected up to 255 letters, digits or any of ./_#:-, not AWS/..."
        )
    return value


def _release(value: str) -> str:
    if not re.fullmatch(r"([0-9a-f]{64})?", value, re.ASCII):
        raise SettingsError(
            f"{PREFIX}RELEASE is {value!r}; expected the 64 hexadecimal digits of a SHA-256, or nothing"
        )
    return value


def _origins(value: str) -> tuple[str, ...]:
    """The rule of the parameter in template.yaml."""
    if not re.fullmatch(r"|\*|https?://[^,/\s]+(,https?://[^,/\s]+)*", value):
        raise SettingsError(
            f"{PREFIX}CORS_ORIGINS is {value!r}; expected origins like https://example.com separated by commas, "
            "or *, or nothing"
        )
    return tuple(value.split(",")) if value else ()


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19) or int(value) < 1:
        raise SettingsError(f"{PREFIX}{name} is {value!r}; expected a whole number of at least 1")
    return int(value)
