"""A staged function and its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotlight_cli.sandbox.limits import MEMORY_VARIABLE, SECONDS_VARIABLE
from pilotlight_cli.stores import OWNER_VARIABLE

# Variables for the developer's store and proxies, and those that every program needs. A function gets no others of the
# developer's environment: it would work here and fail in the cloud.
_PASSED_PREFIXES = ("AWS_", "GOOGLE_", "CLOUDSDK_", "PILOTLIGHT_", "LC_")
_PASSED = (
    *("HOME", "PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "STORAGE_EMULATOR_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_WITHHELD = ("AWS_LAMBDA_", "AWS_EXECUTION_ENV", MEMORY_VARIABLE, SECONDS_VARIABLE, OWNER_VARIABLE)


@dataclass(frozen=True, slots=True)
class Function:
    """A function that is ready to run on this machine.

    `folder` is the root of its package, and `packages` are the folders of its libraries. `environ` is its environment
    without the variables of its runtime.
    """

    folder: Path
    packages: tuple[Path, ...]
    environ: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its interpreter, which imports only from the package, and writes no bytecode."""
        path = os.pathsep.join(map(str, (self.folder, *self.packages)))
        return {**self.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the developer's environment that a function may see, without empty variables.

    boto3, for one, treats an empty AWS_CA_BUNDLE as a file name.
    """
    return {
        name: value
        for name, value in environ.items()
        if value and not name.startswith(_WITHHELD) and (name in _PASSED or name.startswith(_PASSED_PREFIXES))
    }
