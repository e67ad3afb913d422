"""Settings of the function, read once from the environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pilotlight.errors import SettingsError
from pilotlight.frozen import dataclass

PREFIX = "PILOTLIGHT_"
DEFAULT_LOG_LEVEL = "INFO"
DEFAULT_NAMESPACE = "Pilotlight"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class Setting:
    """An environment variable of the function, `PILOTLIGHT_` and its name.

    `default` applies where the variable is missing. `expected` completes the message about a value that is not valid.
    `parameter` is the parameter of template.yaml that sets the variable on AWS, or empty. On Google Cloud gcp.toml's
    `variables` set it where `is_gcp_variable`; the others are for the deployment or the image to set.
    """

    name: str
    meaning: str
    default: str
    is_valid: Callable[[str], bool]
    expected: str
    parameter: str = ""
    is_gcp_variable: bool = True

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return PREFIX + self.name


def _is_store(url: str) -> bool:
    scheme, separator, rest = url.partition("://")
    bucket = rest.partition("/")[0]
    return bool(separator and scheme in ("s3", "gs", "file") and rest and (scheme == "file" or bucket))


def _is_namespace(value: str) -> bool:
    """Apply CloudWatch's rule for a namespace, which Cloud Logging accepts too."""
    return bool(re.fullmatch(r"(?!AWS/)[A-Za-z0-9./_#-][A-Za-z0-9./_#: -]{0,254}", value))


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 19 and int(value) >= 1


def _is_release(value: str) -> bool:
    return bool(re.fullmatch(r"([0-9a-f]{64})?", value, re.ASCII))


def _is_base_path(value: str) -> bool:
    """Apply the rule of the parameter BasePath in template.yaml."""
    return bool(re.fullmatch(r"(/[A-Za-z0-9._~!$'()*+,;=@-]+)*", value))


def _are_origins(value: str) -> bool:
    """Apply the rule of the parameter CorsOrigins in template.yaml."""
    return bool(re.fullmatch(r"|\*|https?://[^,/\s]+(,https?://[^,/\s]+)*", value))


def _are_prefixes(value: str) -> bool:
    return all(re.fullmatch(r"(s3|gs)://[^/,\s]+/([^/,\s]+/)*", prefix) for prefix in _split(value))


def _split(value: str) -> tuple[str, ...]:
    return tuple(value.split(",")) if value else ()


# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_TOPIC = r"projects/[a-z0-9.:-]+/topics/[A-Za-z][\w.~+%-]{2,254}"
_DESTINATION = (
    "s3://bucket/prefix, or the ARN of an SQS queue, SNS topic, EventBridge bus, Kinesis stream or DynamoDB table; "
    "on Google Cloud gs://bucket/prefix or projects/PROJECT/topics/TOPIC"
)


def _is_destination(value: str) -> bool:
    arn = r"arn:[a-z-]+:(sqs|sns|events|kinesis|dynamodb):[a-z0-9-]+:\d{12}:\S+"
    return bool(re.fullmatch(rf"|(s3|gs)://[^/\s]+(/\S*)?|{arn}|{_TOPIC}", value, re.ASCII))


SETTINGS = (
    Setting(
        "STORE",
        "the model store's URL",
        "",
        _is_store,
        "the model store's URL, like s3://bucket/prefix, gs://bucket/prefix or file:///folder",
        parameter="StoreUrl",
        is_gcp_variable=False,
    ),
    Setting(
        "LOCK",
        "the lock's path, from the root of the package",
        "model.lock",
        lambda _: True,
        "a path",
        is_gcp_variable=False,
    ),
    Setting(
        "LOG_LEVEL",
        "lines below it are not written",
        DEFAULT_LOG_LEVEL,
        LEVELS.__contains__,
        f"one of {', '.join(LEVELS)}",
        parameter="LogLevel",
    ),
    Setting(
        "METRICS_NAMESPACE",
        "the namespace of the metrics",
        DEFAULT_NAMESPACE,
        _is_namespace,
        "up to 255 letters, digits or any of ./_#:-, not AWS/...",
        parameter="MetricsNamespace",
    ),
    Setting(
        "MAX_BODY_BYTES",
        "the limit of a body and of a reply, in bytes",
        "4500000",  # stays below Lambda's 6 MB after base64
        _is_count,
        "a whole number of at least 1",
        parameter="MaxBodyBytes",
    ),
    Setting(
        "THREADS",
        "how many threads one prediction may use",
        "",
        lambda value: not value or _is_count(value),
        "a whole number of at least 1, or nothing",
        parameter="Threads",
    ),
    Setting(
        "RELEASE",
        "the digest of the release",
        "",
        _is_release,
        "the 64 hexadecimal digits of a SHA-256, or nothing",
        parameter="ReleaseDigest",
        is_gcp_variable=False,
    ),
    Setting(
        "CORS_ORIGINS",
        "the origins whose pages may call from a browser",
        "",
        _are_origins,
        "origins like https://example.com separated by commas, or *, or nothing",
    ),
    Setting(
        "BASE_PATH",
        "what may precede every route's path",
        "",
        _is_base_path,
        "a path like /models/fraud without a slash at its end, or nothing",
        parameter="BasePath",
    ),
    Setting(
        "INPUT_PREFIXES",
        "where V2 inputs may be read",
        "",
        _are_prefixes,
        "prefixes like s3://bucket/inputs/ or gs://bucket/inputs/ separated by commas, or nothing",
        parameter="InputPrefixes",
    ),
    Setting(
        "REST_API_BINARY",
        "whether a REST API in front decodes base64",
        "false",
        ("true", "false").__contains__,
        "true or false",
        parameter="RestApiBinary",
        is_gcp_variable=False,
    ),
    Setting(
        "RESULTS",
        "where the results of records go",
        "",
        _is_destination,
        _DESTINATION,
        is_gcp_variable=False,
    ),
    Setting(
        "FAILURES",
        "where records go that can never succeed",
        "",
        _is_destination,
        _DESTINATION,
        is_gcp_variable=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of SETTINGS.

    `max_body_bytes` bounds a decoded request and a decoded response. `threads` is one for each whole processor where
    the variable is empty or missing. `release` is empty where the deployment named none, and `cors_origins` may hold
    `*`. The settings of one platform alone are read by its function folder.
    """

    store: str
    lock: Path
    log_level: str
    metrics_namespace: str
    max_body_bytes: int
    threads: int
    release: str = ""
    cors_origins: tuple[str, ...] = ()
    base_path: str = ""
    input_prefixes: tuple[str, ...] = ()
    results: str = ""
    failures: str = ""


def read_settings(environ: Mapping[str, str], folder: Path, processors: int = 1) -> Settings:
    """Return the settings in `environ`, on a machine with so many processors.

    The lock's path is relative to `folder`.

    Raise SettingsError for an unknown PILOTLIGHT_ variable, a malformed value, or a missing store.
    """
    known = [setting.variable for setting in SETTINGS]
    unknown = min((name for name in environ if name.startswith(PREFIX) and name not in known), default=None)
    if unknown is not None:
        raise SettingsError(f"unknown setting {unknown}, expected one of {', '.join(known)}")
    values = {setting.name: _value(setting, environ) for setting in SETTINGS}
    if values["FAILURES"] and values["FAILURES"].rstrip("/") == values["RESULTS"].rstrip("/"):
        raise SettingsError("PILOTLIGHT_FAILURES is PILOTLIGHT_RESULTS too; expected a place of its own")
    return Settings(
        store=values["STORE"].rstrip("/"),
        lock=folder / values["LOCK"],
        log_level=values["LOG_LEVEL"],
        metrics_namespace=values["METRICS_NAMESPACE"],
        max_body_bytes=int(values["MAX_BODY_BYTES"]),
        threads=int(values["THREADS"] or processors),
        release=values["RELEASE"],
        cors_origins=_split(values["CORS_ORIGINS"]),
        base_path=values["BASE_PATH"],
        input_prefixes=_split(values["INPUT_PREFIXES"]),
        results=values["RESULTS"],
        failures=values["FAILURES"],
    )


def _value(setting: Setting, environ: Mapping[str, str]) -> str:
    value = environ.get(setting.variable, setting.default)
    if not setting.is_valid(value):
        raise SettingsError(f"{setting.variable} is {value!r}; expected {setting.expected}")
    return value
