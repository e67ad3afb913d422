"""Settings of the gRPC server, read once from the environment and taken out of it: what is left is for the core."""

from __future__ import annotations

from collections.abc import MutableMapping

from pilotlight.errors import SettingsError
from pilotlight.frozen import dataclass
from pilotlight.settings import PREFIX, Setting

_GRPC = f"{PREFIX}GRPC_"

GRPC_SETTINGS = (
    Setting("GRPC_HOST", "the address to listen on", "[::]", bool, "an address; IPv6 in brackets"),
    Setting(
        "GRPC_PORT",
        "the port to listen on",
        "8081",
        lambda value: value.isascii() and value.isdigit() and len(value) < 6 and int(value) < 65536,
        "a port's number; 0 for any free one",
    ),
)


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """The values of GRPC_SETTINGS."""

    host: str
    port: int


def take_settings(environ: MutableMapping[str, str]) -> GrpcSettings:
    """Return the settings in `environ`, and remove them from it. Raise SettingsError."""
    found = {name: environ.pop(name) for name in sorted(environ) if name.startswith(_GRPC)}
    known = [setting.variable for setting in GRPC_SETTINGS]
    unknown = next((name for name in found if name not in known), None)
    if unknown is not None:
        raise SettingsError(f"unknown setting {unknown}, expected one of {', '.join(known)}")
    values = [found.get(setting.variable, setting.default) for setting in GRPC_SETTINGS]
    for setting, value in zip(GRPC_SETTINGS, values, strict=True):
        if not setting.is_valid(value):
            raise SettingsError(f"{setting.variable} is {value!r}; expected {setting.expected}")
    return GrpcSettings(values[0], int(values[1]))
