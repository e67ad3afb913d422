"""Runs the project's own SAM CLI for a deployment, in a clean environment."""

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

# Runs a command with its output passed through, and returns its exit code.
Runner = Callable[[Sequence[str], Mapping[str, str]], int]

BUILT = PROJECT / ".aws-sam" / "build"

# Variables of a calling make, or of another project's environment, that would affect the make that `sam build` calls.
_REMOVED = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEFILES", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "ARCHITECTURE")


class SamFailed(PilotlightError):
    """A command of SAM CLI failed, after printing the reason."""


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command in the project's folder; return its exit code. All its output goes to stderr."""
    return subprocess.run(command, env=dict(environ), cwd=PROJECT, stdout=2, check=False).returncode


@dataclass(frozen=True, slots=True)
class Sam:
    """SAM CLI for an environment of samconfig.toml. `folder` has the built packages and template."""

    environment: str
    environ: Mapping[str, str]
    runner: Runner = run
    folder: Path = BUILT

    def build(self, architecture: str) -> None:
        """Build every function. Raise SamFailed if that fails."""
        # SAM's cache checks functions/aws alone: it would miss a change of the core or of the lock.
        options = ["--template-file", str(PROJECT / "template.yaml"), "--build-dir", str(self.folder), "--no-cached"]
        self._run("build", options, {"ARCHITECTURE": architecture})

    def deploy(self, stack: str, parameters: Mapping[str, str]) -> None:
        """Deploy the built template to a stack with values for all parameters. Raise SamFailed if that fails.

        A parameter without a value would keep that of the last deployment, whatever the template's default.
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
            raise SamFailed(f"'sam {command}' failed with exit code {code}; see its output above")


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for SAM CLI, without empty variables of AWS, which it would use as values."""
    kept = {name: value for name, value in environ.items() if value or not name.startswith("AWS_")}
    return {name: value for name, value in kept.items() if name not in _REMOVED} | {"SAM_CLI_TELEMETRY": "0"}
