"""SAM CLI as a part of a deployment: the project's own, in an environment that nothing else has shaped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws.environments import FILE
from pilotlight_cli.project import PROJECT

# Runs a command with its output passed through, and gives its exit code.
Runner = Callable[[Sequence[str], Mapping[str, str]], int]

BUILT = PROJECT / ".aws-sam" / "build"

# What a make that called us, or another project's environment, would tell the make that `sam build` calls.
_STRANGE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEFILES", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "ARCHITECTURE")


class SamFailed(PilotlightError):
    """A command of SAM's failed, and has said why."""


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command in the project's folder. What it prints is no result of ours: all of it goes to stderr."""
    return subprocess.run(command, env=dict(environ), cwd=PROJECT, stdout=2, check=False).returncode


@dataclass(frozen=True, slots=True)
class Sam:
    """SAM CLI, for an environment of samconfig.toml. `folder` is where packages and the built template lie."""

    environment: str
    environ: Mapping[str, str]
    runner: Runner = run
    folder: Path = BUILT

    def build(self, architecture: str) -> None:
        """Build every function. Raises SamFailed."""
        # SAM's cache looks at functions/aws alone: a change of the core or of the lock would not be built.
        options = ["--template-file", str(PROJECT / "template.yaml"), "--build-dir", str(self.folder), "--no-cached"]
        self._run("build", options, {"ARCHITECTURE": architecture})

    def deploy(self, stack: str, parameters: Mapping[str, str]) -> None:
        """Bring a stack to what was built, with these values for all parameters. Raises SamFailed.

        A parameter that SAM is not told keeps the value of the last deployment, whatever the template says.
        """
        values = self.folder.with_name(f"parameters-{self.environment}.yaml")
        values.write_text(json.dumps(dict(parameters), indent=1))  # which is YAML too
        options = ["--template-file", str(self.folder / "template.yaml"), "--stack-name", stack]
        options += [
            "--parameter-overrides",
            f"file://{values}",
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
        ]
        self._run("deploy", options, {})

    def _run(self, command: str, options: Sequence[str], more: Mapping[str, str]) -> None:
        program = str(Path(sys.executable).with_name("sam"))
        config = ["--config-file", str(FILE), "--config-env", self.environment]
        code = self.runner([program, command, *config, *options], {**clean(self.environ), **more})
        if code:
            raise SamFailed(f"'sam {command}' ended with exit code {code}; it says above why")


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for SAM, which takes an empty variable of AWS's at its word."""
    kept = {name: value for name, value in environ.items() if value or not name.startswith("AWS_")}
    return {name: value for name, value in kept.items() if name not in _STRANGE} | {"SAM_CLI_TELEMETRY": "0"}
