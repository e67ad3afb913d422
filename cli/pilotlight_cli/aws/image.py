"""The function that predicts as a container image: built from its package on AWS's base, and named in a template.

https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import PilotlightError
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.aws.release import FUNCTION
from pilotlight_cli.aws.template import Template, load_template

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_DOCKERFILE = FUNCTIONS / "aws" / "container" / "Dockerfile"
_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}

_OF_A_ZIP = ("Handler", "Layers", "Runtime", "CodeUri")
_NAMES = {"Zip": "a zip", "Image": "an image"}


class ImageError(PilotlightError):
    """There is no image: Docker is missing or refused; the message says which."""


def build_image(package: Path, name: str, architecture: str, base: str = "") -> None:
    """Build the image of a package on `base`, or on the Dockerfile's own where that is empty. Raise ImageError."""
    options = [f"--platform={_PLATFORMS[architecture]}", *([f"--build-arg=BASE={base}"] if base else [])]
    _docker("build", "--file", str(_DOCKERFILE), "--tag", name, *options, str(package))


def put_into(build: Path, architecture: str, base: str) -> None:
    """Make the image of the function in a build of SAM's, and have the template there name it. Raise ImageError.

    The tag is a digest of the base's layers: another base is another release, as another package is.
    """
    latest = f"{FUNCTION.lower()}:latest"
    build_image(build / FUNCTION, latest, architecture, base)
    layers = json.loads(_docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", latest))
    name = f"{FUNCTION.lower()}:{hashlib.sha256(json.dumps(layers[:-1]).encode()).hexdigest()[:12]}"
    _docker("tag", latest, name)
    path = build / "template.yaml"
    changed = as_image(load_template(path), name)
    path.write_text(json.dumps(changed, default=str))  # which is YAML too; its version is a date


def as_image(template: Template, name: str) -> Template:
    """Return the template with the function that predicts as the image of this name, and the others as before."""
    changed = deepcopy(template)
    of_all = changed.get("Globals", {}).get("Function", {})
    shared = {key: of_all.pop(key) for key in _OF_A_ZIP if key in of_all}
    for resource, found in changed["Resources"].items():
        if resource == FUNCTION:
            own = {key: value for key, value in found["Properties"].items() if key not in _OF_A_ZIP}
            found["Properties"] = own | {"PackageType": "Image", "ImageUri": name}
        elif found["Type"] == "AWS::Serverless::Function":
            found["Properties"] = shared | found["Properties"]
    return changed


def shaped(template: Template, build: Path) -> Template:
    """Return the template in the form that was built: with the image that the template of the build names."""
    name = load_template(build / "template.yaml")["Resources"][FUNCTION]["Properties"]["ImageUri"]
    return as_image(template, name)


def refusal(functions: LambdaClient, function: str, version: str, values: Mapping[str, str], repository: str) -> str:
    """Return why the function cannot be deployed in this form, or an empty text.

    `version` is the one that serves, or empty. A `repository` is that of an image.
    """
    if repository and values["Layers"]:
        return "Layers is set, and an image has no layers of Lambda: remove it, or deploy without --image"
    if not version:
        return ""
    found = functions.get_function_configuration(FunctionName=function, Qualifier=version).get("PackageType", "Zip")
    wanted = "Image" if repository else "Zip"
    if found == wanted:
        return ""
    return (
        f"{function} is {_NAMES[found]}, expected {_NAMES[wanted]}: Lambda cannot change that. Deploy "
        f"{'with' if found == 'Image' else 'without'} --image, or to another environment"
    )


def _docker(*arguments: str) -> str:
    """Run Docker and return its output, without the end of line. Raise ImageError."""
    program = shutil.which("docker")
    if program is None:
        raise ImageError("found no program docker; install Docker")
    # Lambda takes no index of images, which attestations would make of one.
    environ = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    done = subprocess.run([program, *arguments], env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise ImageError(f"'docker {arguments[0]}' failed with exit code {done.returncode}:\n{last}")
    return done.stdout.strip()
