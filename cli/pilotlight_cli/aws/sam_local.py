"""Runs the predict function under `sam local`, in Docker, with a model store that its container can reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotlight_cli.aws import AwsUsageError
from pilotlight_cli.aws.environments import parse_parameter
from pilotlight_cli.aws.sam import SamFailed, build_variables, clean, program
from pilotlight_cli.aws.template import TemplateError, effective_values, load_template, refusals
from pilotlight_cli.local.process import Child, Log, PortTaken, listen
from pilotlight_cli.local.stores import EmbeddedStore, acting_in, affects_store, s3_store
from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.project.events import pinned_events
from pilotlight_cli.project.folders import ModelFolder
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.stores import open_store

FUNCTION = "PredictFunction"

# AWS's image of the functions' runtime, by the name that SAM CLI uses.
IMAGE = f"public.ecr.aws/lambda/python:{PYTHON_VERSION}-x86_64"

_HOST = "host.docker.internal"
_ADDRESS = f"import socket; print(socket.gethostbyname({_HOST!r}))"
_MAX_LINES = 25  # of a failed command in a message


@dataclass(frozen=True, slots=True)
class Prepared:
    """The template for `sam local`, whose function finds its store, and the environment of the command."""

    template: Path
    environ: Mapping[str, str]


@contextmanager
def prepared(model: ModelFolder, store: str | None, environ: Mapping[str, str]) -> Iterator[Prepared]:
    """Build the function of a model. Without a store's URL, run an embedded one with the pinned version meanwhile.

    Raise SamFailed, or NotAvailable if the project's store does not have the version.
    """
    folder = model.built("sam")
    if store is not None:
        build(model, folder, environ)
        yield Prepared(point_to(folder / "template.yaml", {"PILOTLIGHT_STORE": store}), quiet(environ))
        return
    address = host_address()
    with reachable_store(address) as embedded:
        with acting_in(embedded.environ):
            ensure_published(model.lock, open_store(embedded.url))
        build(model, folder, environ)  # last: it is slow, and the rest may fail
        yield pointed_to(embedded, address, folder / "template.yaml", environ)


def build(model: ModelFolder, folder: Path, environ: Mapping[str, str]) -> None:
    """Have SAM CLI build the predict function alone, outside of .aws-sam, which has the build to deploy."""
    command = [*program(), "build", FUNCTION, "--template-file", str(model.template)]
    _run([*command, "--build-dir", str(folder)], quiet(environ) | build_variables(model), model.root)


def pointed_to(store: EmbeddedStore, address: str, template: Path, environ: Mapping[str, str]) -> Prepared:
    """Return a built function that finds a store of this process, which its container reaches at `address`."""
    port = store.environ["AWS_ENDPOINT_URL_S3"].rpartition(":")[2]
    variables = {"PILOTLIGHT_STORE": store.url, "AWS_ENDPOINT_URL_S3": f"http://{address}:{port}"}
    return Prepared(point_to(template, variables), {**offline(environ), **store.environ})


def point_to(template: Path, variables: Mapping[str, str]) -> Path:
    """Write a copy of a built template beside it, with these environment variables added to the function.

    `sam local --env-vars` ignores variables that the template does not declare, such as AWS_ENDPOINT_URL_S3.
    """
    document = load_template(template)
    document["Resources"][FUNCTION]["Properties"]["Environment"]["Variables"] |= variables
    copy = template.with_name("local.json")
    copy.write_text(json.dumps(document))
    return copy


def invoke_command(run: Prepared, event: Path, parameters: Sequence[str] = ()) -> list[str]:
    """Return the command that sends one event, and prints the response to stdout and the function's log to stderr.

    `parameters` are values for the template's, as NAME=VALUE. An exception of the handler is a response too.
    """
    return [*program(), "local", "invoke", FUNCTION, "--event", str(event.resolve()), *_options(run, parameters)]


def invoke(run: Prepared, event: bytes, parameters: Sequence[str]) -> int:
    """Send one event; print the response to stdout and the function's log to stderr. Return the exit code.

    SAM's own is 0 for an exception of the function, whose response then says what was raised.
    """
    file = run.template.with_name("event.json")
    file.write_bytes(event)
    command = invoke_command(run, file, parameters)
    done = subprocess.run(command, env=dict(run.environ), stdout=subprocess.PIPE, check=False)
    sys.stdout.write(done.stdout.decode(errors="replace"))
    return 1 if done.returncode or is_function_error(done.stdout) else 0


def is_function_error(response: bytes) -> bool:
    """Return whether a response is what Lambda makes of an exception of the function."""
    try:
        document = json.loads(response)
    except ValueError:
        return False
    return isinstance(document, dict) and {"errorType", "errorMessage"} <= document.keys()


def read_event(file: Path | None, lock: Path) -> bytes:
    """Return an event: that of a file, for `-` of standard input, without a file one with the first golden sample.

    Raise AwsUsageError if it is not JSON, or not there.
    """
    if file is None:
        made = pinned_events(lock)
        if not made:
            raise AwsUsageError("JSON cannot represent any golden sample of this model; name a file with an event")
        return made["http-api-v2-predict.json"]
    name = "standard input" if str(file) == "-" else str(file)
    try:
        event = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        json.loads(event)
    except OSError as error:
        raise AwsUsageError(
            f"{name}: {error.strerror}; expected a file with an event, such as those in events/"
        ) from None
    except (ValueError, RecursionError) as error:
        raise AwsUsageError(f"{name} is not JSON: {error}; expected an event, such as those in events/") from None
    return event


def check_parameters(template: Path, parameters: Sequence[str]) -> None:
    """Raise AwsUsageError unless a template accepts these values, each as NAME=VALUE. SAM CLI ignores unknown names."""
    given = {}
    for text in parameters:
        parsed = parse_parameter(text)
        if parsed is None:
            raise AwsUsageError(f"--parameter {text}: expected NAME=VALUE")
        given[parsed[0]] = parsed[1]
    document = load_template(template)
    try:
        refused = refusals(document, effective_values(document, given))
    except TemplateError as error:
        raise AwsUsageError(f"--parameter: {error}") from None
    if refused:
        raise AwsUsageError(f"--parameter: {'; '.join(refused)}")


@contextmanager
def api(run: Prepared, port: int, parameters: Sequence[str] = ()) -> Iterator[tuple[Child, Log]]:
    """Run `sam local start-api` on 127.0.0.1, and stop it and its containers at the end.

    It authorizes every request: SAM CLI has no IAM and no JWT authorizers, and cannot read a conditional one.
    """
    options = ["--port", str(port), "--disable-authorizer", "--warm-containers", "LAZY", *_options(run, parameters)]
    log = Log()
    child = Child([*program(), "local", "start-api", *options], run.template.parent, run.environ, log)
    try:
        child.wait_for_port(port, seconds=60)
        yield child, log
    finally:
        child.stop(seconds=30)


def quiet(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which SAM CLI sends no telemetry and pulls only missing images."""
    return clean(environ) | {"SAM_SKIP_PULL_IMAGE": "1"}


def offline(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which SAM CLI gives up quickly on asking AWS for its identity."""
    kept = {name: value for name, value in quiet(environ).items() if not affects_store(name)}
    return kept | {"AWS_MAX_ATTEMPTS": "1"}


def host_address(image: str = IMAGE, python: str = "/var/lang/bin/python3") -> str:
    """Return the IP address at which a container reaches this machine, found in an image with Python. Raise SamFailed.

    An address, since S3's clients would prepend the bucket to a host name. A container looks it up, since the address
    of Docker Desktop is known only there.
    """
    options = ["--rm", "--add-host", f"{_HOST}:host-gateway", "--entrypoint", python]
    return _run(["docker", "run", *options, image, "-c", _ADDRESS], os.environ, Path()).strip()


@contextmanager
def reachable_store(address: str) -> Iterator[EmbeddedStore]:
    """Run an empty store for containers that reach this machine at `address`."""
    try:
        listen(0, address).close()
    except PortTaken:  # Docker Desktop's address is not this machine's, and forwards to its loopback address
        address = "127.0.0.1"
    with s3_store(address) as store:
        yield store


def _options(run: Prepared, parameters: Sequence[str]) -> list[str]:
    overrides = ["--parameter-overrides", *parameters] if parameters else []
    return ["--template", str(run.template), *overrides]


def _run(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> str:
    """Run a command in a folder; return its stdout. Raise SamFailed if it fails."""
    try:
        done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False, cwd=folder)
    except FileNotFoundError:
        raise SamFailed(f"{command[0]} is not installed; 'sam local' runs functions in Docker") from None
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_MAX_LINES:])
        raise SamFailed(f"'{Path(command[0]).name} {command[1]}' failed with exit code {done.returncode}:\n{last}")
    return done.stdout
