"""A staged function and the environment that it is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotlight_cli.sandbox.limits import MEMORY_VARIABLE, SECONDS_VARIABLE

# What reaches the developer's store and proxies, and what every program needs. Nothing else of the developer's
# environment gets into a function: it would work here and fail in the cloud.
_PASSED_PREFIXES = ("AWS_", "GOOGLE_", "CLOUDSDK_", "PILOTLIGHT_", "LC_")
_PASSED = (
    *("HOME", "PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "STORAGE_EMULATOR_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_OURS = ("AWS_LAMBDA_", "AWS_EXECUTION_ENV", MEMORY_VARIABLE, SECONDS_VARIABLE)


@dataclass(frozen=True, slots=True)
class Function:
    """A function ready to be run on this machine.

    `folder` is the root of its package and `packages` are the folders of its libraries. `environ` is all that it sees
    of an environment, but for what its runtime sets.
    """

    folder: Path
    packages: tuple[Path, ...]
    environ: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its interpreter, which finds only the package and writes nothing into it."""
        path = os.pathsep.join(map(str, (self.folder, *self.packages)))
        return {**self.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the developer's environment that a function may see. An empty variable says nothing and is left out.

    boto3, for one, takes an empty AWS_CA_BUNDLE for a file of that name.
    """
    return {
        name: value
        for name, value in environ.items()
        if value and not name.startswith(_OURS) and (name in _PASSED or name.startswith(_PASSED_PREFIXES))
    }
