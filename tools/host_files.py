"""Files of this machine for an image that is made without a base: a Python, its C library, a few programs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Wheels ask for glibc's parts by name, also for those that are empty since 2.34, and for the two of the compiler.
_C_LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libmvec.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"),
    *("libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2", "libanl.so.1", "libnsl.so.1"),
    *("libstdc++.so.6", "libgcc_s.so.1"),
)

# Unused by a function, and most of an installation's size.
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
    """An installed interpreter: its version as `3.13`, the program, its standard library, where libpython lies."""

    version: str
    program: Path
    library: Path
    shared: Path


def python_of(program: str) -> Python:
    """What an interpreter says of itself."""
    said = subprocess.run([program, "-I", "-c", _LAYOUT], capture_output=True, text=True, check=True).stdout
    version, *paths = json.loads(said)
    return Python(version, *map(Path, paths))


def copy_python(home: Path, python: Python) -> Path:
    """Put an interpreter into `home`, a folder of the image; the folder for packages, which is empty."""
    (home / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(python.program, home / f"bin/python{python.version}")
    for name in ("python", "python3"):
        (home / "bin" / name).symlink_to(f"python{python.version}")
    library = home / f"lib/python{python.version}"
    # With its bytecode, and the times by which that is valid.
    shutil.copytree(python.library, library, ignore=_LEFT_OUT)
    packages = library / "site-packages"
    packages.mkdir()
    (library / "dist-packages").symlink_to("site-packages")  # where Debian's own interpreter looks
    for file in python.shared.glob(f"libpython{python.version}*.so.*"):
        shutil.copy(file, home / "lib")
    return packages


def copy_system(root: Path, home: Path, python: Python, programs: Sequence[str]) -> None:
    """Put programs into the image at `root`, and the shared libraries of these and of the interpreter in `home`."""
    (root / "bin").mkdir()
    found = [_found(name) for name in programs]
    for program in found:
        shutil.copy(program, root / "bin" / program.name)
    needed = _libraries([*found, python.program, *home.rglob("lib-dynload/*.so")])
    (place,) = {file.parent for file in needed if file.name == "libc.so.6"}
    needed |= {place / name for name in _C_LIBRARIES if (place / name).exists()}
    for file in needed:
        if not (home / "lib" / file.name).exists():
            target = root / file.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


def _found(name: str) -> Path:
    program = shutil.which(name)
    if program is None:
        raise FileNotFoundError(f"the program {name} is not on this machine")
    return Path(program)


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """The files of the shared libraries that programs ask for, the loader among them."""
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    return {Path(name) for name in re.findall(r"(?:=> |^\s)(/\S+) \(0x", said, re.MULTILINE)}
