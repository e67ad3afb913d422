"""Files of this machine for an image without a base: a Python, its C library, a few programs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Wheels link glibc's parts by name, also those that are empty since 2.34, and two of the compiler's libraries.
_C_LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libmvec.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"),
    *("libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2", "libanl.so.1", "libnsl.so.1"),
    *("libstdc++.so.6", "libgcc_s.so.1"),
)

# Unused by a function, but most of an installation's size.
_LEFT_OUT = shutil.ignore_patterns(
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "config-*"),
    *("site-packages", "dist-packages", "*.opt-?.pyc", "*.a", "_tkinter*", "_test*"),
)

_LAYOUT = """
import json, sys, sysconfig
paths = sys._base_executable, sysconfig.get_path("stdlib"), sysconfig.get_config_var("LIBDIR")
print(json.dumps(["%d.%d" % sys.version_info[:2], *paths]))
"""


@dataclass(frozen=True, slots=True)
class Python:
    """An installed interpreter: its version as `3.13`, the program, its standard library, libpython's folder."""

    version: str
    program: Path
    library: Path
    shared: Path


def python_of(program: str) -> Python:
    """Return an interpreter's version and paths, which it reports itself."""
    output = subprocess.run([program, "-I", "-c", _LAYOUT], capture_output=True, text=True, check=True).stdout
    version, *paths = json.loads(output)
    return Python(version, *map(Path, paths))


def copy_python(home: Path, python: Python) -> Path:
    """Copy an interpreter into `home`, a folder of the image; return the empty folder for packages."""
    (home / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(python.program, home / f"bin/python{python.version}")
    for name in ("python", "python3"):
        (home / "bin" / name).symlink_to(f"python{python.version}")
    library = home / f"lib/python{python.version}"
    # With its bytecode, and the modification times that validate it.
    shutil.copytree(python.library, library, ignore=_LEFT_OUT)
    packages = library / "site-packages"
    packages.mkdir()
    (library / "dist-packages").symlink_to("site-packages")  # where Debian's own interpreter looks
    for file in python.shared.glob(f"libpython{python.version}*.so.*"):
        shutil.copy(file, home / "lib")
    return packages


def copy_system(root: Path, home: Path, python: Python, programs: Sequence[str]) -> None:
    """Copy programs into the image at `root`, with their shared libraries and those of the interpreter in `home`."""
    (root / "bin").mkdir()
    copied = [_find_program(name) for name in programs]
    for program in copied:
        shutil.copy(program, root / "bin" / program.name)
    needed = _libraries([*copied, python.program, *home.rglob("lib-dynload/*.so")])
    (place,) = {file.parent for file in needed if file.name == "libc.so.6"}
    needed |= {place / name for name in _C_LIBRARIES if (place / name).exists()}
    for file in needed:
        if not (home / "lib" / file.name).exists():
            target = root / file.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


def _find_program(name: str) -> Path:
    program = shutil.which(name)
    if program is None:
        raise FileNotFoundError(f"the program {name} is not installed")
    return Path(program)


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """Return the shared libraries that programs link, the loader included."""
    output = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    return {Path(name) for name in re.findall(r"(?:=> |^\s)(/\S+) \(0x", output, re.MULTILINE)}
