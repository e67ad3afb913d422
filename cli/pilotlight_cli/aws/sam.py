"""Runs SAM CLI for a model of a project, in a clean environment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws import image
from pilotlight_cli.aws.template import Template
from pilotlight_cli.hostenv import group_packages, isolated_python
from pilotlight_cli.project.folders import ModelFolder

# Runs a command in a folder with its output passed through, and returns its exit code.
Runner = Callable[[Sequence[str], Mapping[str, str], Path], int]

# Variables of a calling make, or of another project's environment, that would affect the make that `sam build` calls.
_REMOVED = (
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKEFILES",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "ARCHITECTURE",
    "LOCK",
)


_TIPS = "Commands you can use next"  # `sam deploy --guided` among them, which would not deploy this project


class SamFailed(PilotlightError):
    """A command of SAM CLI failed, after printing the reason."""


def program() -> list[str]:
    """Return the command of SAM CLI: that of this Python environment, or else one that is installed in the cache."""
    if find_spec("samcli"):
        return [sys.executable, "-m", "samcli"]
    packages = group_packages("sam-cli")
    code = (
        f"import site, sys; site.addsitedir({str(packages)!r}); from samcli.cli.main import cli; cli(prog_name='sam')"
    )
    return [*isolated_python(), "-c", code]


def run(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> int:
    """Run a command in a folder; return its exit code. All its output goes to stderr, but for SAM's tips at its end."""
    if "build" not in command:  # only a build ends with tips; a deployment's output stays coloured
        return subprocess.run(command, env=dict(environ), cwd=folder, stdout=2, check=False).returncode
    with subprocess.Popen(command, env=dict(environ), cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines: Iterator[str] = iter(process.stdout or ())
            for line in takewhile(lambda line: not line.startswith(_TIPS), lines):
                sys.stderr.write(line)
            for _ in lines:
                pass
        except BaseException:
            process.kill()
            raise
    return process.returncode


@dataclass(frozen=True, slots=True)
class Sam:
    """SAM CLI for a model and an environment of its samconfig.toml.

    With a `repository`, the function that predicts is a container image there, on the image `base`, if that is given.
    """

    model: ModelFolder
    environment: str
    environ: Mapping[str, str]
    runner: Runner = run
    repository: str = ""
    base: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the built packages and template."""
        return self.model.sam_build

    def build(self, architecture: str) -> None:
        """Build every function, and the image if there is one. Raise SamFailed or ImageError if that fails."""
        # SAM's cache checks functions/aws alone: it would miss a change of the core or of the lock.
        options = [
            "--template-file",
            str(self.model.template),
            "--build-dir",
            str(self.folder),
            "--no-cached",
        ]
        self._run("build", options, build_variables(self.model) | {"ARCHITECTURE": architecture})
        if self.repository:
            image.put_into(self.folder, architecture, self.base)

    def shaped(self, template: Template) -> Template:
        """Return the template in the form that was built."""
        return image.shaped(template, self.folder) if self.repository else template

    def deploy(self, stack: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Deploy the built template to a stack with values for all parameters. Raise SamFailed if that fails.

        `tags` are all of the stack's: SAM CLI does not read those of samconfig.toml besides.

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
            "--tags",
            *(f"{name}={value}" for name, value in tags.items()),
            *(["--image-repository", self.repository] if self.repository else []),
        ]
        self._run("deploy", options, {})

    def _run(self, command: str, options: Sequence[str], more: Mapping[str, str]) -> None:
        config = ["--config-file", str(self.model.environments.resolve()), "--config-env", self.environment]
        code = self.runner([*program(), command, *config, *options], {**clean(self.environ), **more}, self.model.root)
        if code:
            raise SamFailed(f"'sam {command}' failed with exit code {code}; see its output above")


def build_variables(model: ModelFolder) -> dict[str, str]:
    """Return what functions/aws/Makefile needs to build the packages of a model with this command."""
    return {"LOCK": str(model.lock.resolve()), "PILOTLIGHT": f"'{sys.executable}' -m pilotlight_cli.main"}


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for SAM CLI, without empty variables of AWS, which it would use as values."""
    kept = {name: value for name, value in environ.items() if value or not name.startswith("AWS_")}
    return {name: value for name, value in kept.items() if name not in _REMOVED} | {"SAM_CLI_TELEMETRY": "0"}
