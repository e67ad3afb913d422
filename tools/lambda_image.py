"""Builds a stand-in for AWS's image of Lambda's Python, so that `sam local` runs without pulling an image.

Usage: python tools/lambda_image.py. The exit code is 3 where this machine lacks what it takes.

It consists of this machine's own Python of the functions' version, its C library, AWS's runtime client and SDK as the
command pins them, and the runtime interface emulator of the SAM CLI's wheel. It has the name that SAM uses for the
image, and a label that marks it as a stand-in. An image of that name without the label is AWS's own and is kept.

It differs from AWS's: the C library has another version, the function runs as root, and the rest of Amazon Linux is
missing. A test that passes in it does not show that AWS's image works.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from host_files import Python, python_of
from host_image import NoImageError, digest, docker, functions_python, import_image, stand_in_label
from lambda_files import lay_out
from pilotlight_cli.aws.sam_local import IMAGE
from pilotlight_cli.hostenv import PINNED, run_uv
from pilotlight_cli.local.lambda_runtime import emulator

# SAM's own image on top, which it does not rebuild for a new base.
DERIVED = IMAGE.replace("-x86_64", "-rapid-x86_64")

_LIBRARY_PATH = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
_ENVIRONMENT = {
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "LANG": "C.UTF-8",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "LD_LIBRARY_PATH": _LIBRARY_PATH,
}
_CHANGES = ("WORKDIR /var/task", 'ENTRYPOINT ["/lambda-entrypoint.sh"]')
CANNOT = 3  # the exit code where this machine lacks something, which is no fault of the tool
_RECIPES = ("lambda_files.py", "lambda_image.py")


def main() -> None:
    """Build the image if it is missing or outdated."""
    try:
        print(ensure_image())
    except NoImageError as error:
        print(f"no stand-in for {IMAGE}: {error}", file=sys.stderr)
        sys.exit(CANNOT)


def ensure_image() -> str:
    """Ensure that there is an image; return a sentence about it. Raises NoImageError."""
    label = stand_in_label(IMAGE)
    if label == "":
        return f"{IMAGE} exists and is no stand-in; it is kept"
    program = functions_python()
    requirements = (PINNED / "lambda-runtime.txt").read_text()
    wanted = digest(program, _RECIPES, requirements, emulator().stat().st_size)
    if label == wanted:
        return f"the stand-in for {IMAGE} is up to date"
    with TemporaryDirectory(prefix="pilotlight-image-") as folder:
        runtime, root = Path(folder, "runtime"), Path(folder, "root")
        _install(requirements, program, runtime)
        root.mkdir()
        found = python_of(program)
        lay_out(root, found, runtime, emulator())
        import_image(root, IMAGE, wanted, _ENVIRONMENT, _CHANGES)
    docker("image", "rm", "--force", DERIVED)
    return f"built a stand-in for {IMAGE} from {_described(found)}; it is not AWS's image"


def _install(requirements: str, program: str, target: Path) -> None:
    options = ["--quiet", "--target", str(target), "--python", program, "--only-binary", ":all:", "--compile-bytecode"]
    run_uv(["pip", "install", *options, "--no-deps", "--require-hashes", "-r", "-"], requirements)


def _described(found: Python) -> str:
    return f"Python {found.version} at {found.program}"


if __name__ == "__main__":
    main()
