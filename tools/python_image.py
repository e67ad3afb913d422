"""Builds a stand-in for Docker's image of Python, so that the container's tests run without pulling an image.

Usage: python tools/python_image.py

It consists of this machine's own Python of the functions' version, its bundled pip, and the C library, under a name of
its own. A test that passes in it does not show that the image in functions/gcp/container/Dockerfile works: it has no
Debian, no certificates, and no shell but sh.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from host_files import Python, copy_python, copy_system, python_of
from host_image import NoImageError, digest, functions_python, import_image, stand_in_label

IMAGE = "pilotlight/python-stand-in:3.13-slim-bookworm"

_HOME = "usr/local"
# Docker's own image has its libpython in the loader's cache.
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LD_LIBRARY_PATH": "/usr/local/lib"}


def main() -> None:
    """Build the image if it is missing or outdated."""
    try:
        print(ensure_image())
    except NoImageError as error:
        sys.exit(f"no stand-in for Docker's image of Python: {error}")


def ensure_image() -> str:
    """Ensure that there is an image; return its name. Raises NoImageError."""
    label = stand_in_label(IMAGE)  # checks that Docker works, too
    program = functions_python()
    wanted = digest(program, ("python_image.py",))
    if label != wanted:
        with TemporaryDirectory(prefix="pilotlight-image-") as folder:
            root = Path(folder, "root")
            root.mkdir()
            _lay_out(root, python_of(program))
            import_image(root, IMAGE, wanted, _ENVIRONMENT, ('CMD ["python3"]',))
    return IMAGE


def _lay_out(root: Path, python: Python) -> None:
    for name in ("dev", "etc", "proc", "root", "sys", "tmp"):
        (root / name).mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    home = root / _HOME
    packages = copy_python(home, python)
    copy_system(root, home, python, ("sh",))
    _unpack_pip(python, packages)


def _unpack_pip(python: Python, packages: Path) -> None:
    """Install the pip that an interpreter bundles for virtual environments; its wheel is pure Python."""
    wheel = next((python.library / "ensurepip/_bundled").glob("pip-*.whl"), None)
    if wheel is None:
        raise NoImageError(f"{python.program} bundles no pip; Debian's own Python does not")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)


if __name__ == "__main__":
    main()
