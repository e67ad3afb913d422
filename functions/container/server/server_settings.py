"""Settings of the server, read once from the environment and taken out of it: what is left is for the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping

from pilotlight.errors import SettingsError
from pilotlight.frozen import dataclass
from pilotlight.settings import PREFIX, Setting
from server_device import Device

_SERVER = f"{PREFIX}SERVER_"
_THREADS = f"{PREFIX}THREADS"
_MAX_WORKERS = 256
_MAX_BATCH = 1024
_MAX_WAIT_MS = 1000
_MAX_PORT = 65535


def _is_whole(value: str, most: int, least: int = 1) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most


def _is_port(value: str) -> bool:
    return not value or _is_whole(value, _MAX_PORT, 0)


SERVER_SETTINGS = (
    Setting("SERVER_HOST", "the address to listen on", "0.0.0.0", bool, "an address"),  # noqa: S104 - in a container
    Setting("SERVER_HTTP_PORT", "the port for HTTP, if `PORT` is not", "", _is_port, "a port's number, or nothing"),
    Setting(
        "SERVER_GRPC_PORT", "the port for gRPC, which is off without it", "", _is_port, "a port's number, or nothing"
    ),
    Setting(
        "SERVER_WORKERS",
        "how many processes answer requests",
        "",
        lambda value: not value or _is_whole(value, _MAX_WORKERS),
        f"a whole number from 1 to {_MAX_WORKERS}, or nothing",
    ),
    Setting(
        "SERVER_BATCH",
        "how many rows of requests that arrive together run together, at most",
        "1",
        lambda value: _is_whole(value, _MAX_BATCH),
        f"a whole number from 1 to {_MAX_BATCH}",
    ),
    Setting(
        "SERVER_WAIT_MS",
        "how long a request waits for others of its batch, in milliseconds",
        "2",
        lambda value: _is_whole(value, _MAX_WAIT_MS),
        f"a whole number from 1 to {_MAX_WAIT_MS}",
    ),
    Setting(
        "SERVER_DEVICE",
        "what runs the model",
        "",
        ("", "cpu", "cuda").__contains__,
        "cpu or cuda, or nothing",
    ),
    Setting("SERVER_LOG_FILE", "the file to log to, a numbered one for each process", "", lambda _: True, "a path"),
)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The values of SERVER_SETTINGS, and PORT. `batch` is in rows, `wait` in seconds. No `grpc_port` is no gRPC.

    `device` is what was found for the setting.
    """

    host: str
    port: int
    grpc_port: int | None
    workers: int
    batch: int
    wait: float
    device: Device
    log_file: str


def take_settings(
    environ: MutableMapping[str, str], processors: int, find_device: Callable[[str], Device]
) -> ServerSettings:
    """Return the settings in `environ`, on a machine with so many processors, and remove them from it.

    Without a number of its own there is a worker for each processor, and a prediction has its share of the processors.
    `find_device` finds what the setting of that name wants; a GPU has one worker, since a process that is forked from
    one that uses it cannot. Raise SettingsError for an unknown variable or a malformed value.
    """
    found = {name: environ.pop(name) for name in sorted(environ) if name.startswith(_SERVER)}
    known = [setting.variable for setting in SERVER_SETTINGS]
    unknown = next((name for name in found if name not in known), None)
    if unknown is not None:
        raise SettingsError(f"unknown setting {unknown}, expected one of {', '.join(known)}")
    host, http_port, grpc_port, given, batch, wait_ms, wanted, log_file = (
        _value(setting, found) for setting in SERVER_SETTINGS
    )
    port = int(http_port) if http_port else _port(environ)
    device = find_device(wanted)
    if device.is_gpu and given not in ("", "1"):
        raise SettingsError(
            f"{_SERVER}WORKERS is {given}; expected 1 on a GPU, or nothing: {_SERVER}BATCH has it run requests together"
        )
    workers = 1 if device.is_gpu else int(given or processors)
    environ[_THREADS] = environ.get(_THREADS) or str(max(1, processors // workers))
    grpc = int(grpc_port) if grpc_port else None
    return ServerSettings(host, port, grpc, workers, int(batch), int(wait_ms) / 1000, device, log_file)


def _value(setting: Setting, environ: Mapping[str, str]) -> str:
    value = environ.get(setting.variable, setting.default)
    if not setting.is_valid(value):
        raise SettingsError(f"{setting.variable} is {value!r}; expected {setting.expected}")
    return value


def _port(environ: Mapping[str, str]) -> int:
    text = environ.get("PORT", "8080")
    if not text or not _is_port(text):
        raise SettingsError(f"PORT is {text!r}; expected a port's number")
    return int(text)
