"""The files of a Lambda runtime image, from this machine: a Python, the C library, AWS's client and emulator.

The image's layout (/var/lang, /var/runtime, /lambda-entrypoint.sh) is that of AWS's own images.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from host_files import Python, copy_python, copy_system

# Programs that `sam` runs to derive its own image.
_PROGRAMS = ("sh", "mv", "chmod")

_BOOTSTRAP = """\
#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_python{version}
export PYTHONPATH="/var/task:/opt/python/lib/python{version}/site-packages:/opt/python:/var/runtime"
exec ${{AWS_LAMBDA_EXEC_WRAPPER:-}} /var/lang/bin/python{version} -m awslambdaric "$_HANDLER"
"""

_ENTRYPOINT = """\
#!/bin/sh
export _HANDLER="$1"
[ -n "$AWS_LAMBDA_RUNTIME_API" ] && exec /var/runtime/bootstrap
exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap
"""


def lay_out(root: Path, python: Python, runtime: Path, emulator: Path) -> None:
    """Fill the empty folder `root` with the image's files. `runtime` has AWS's client and SDK."""
    for name in ("dev", "etc", "opt", "proc", "root", "sys", "tmp", "usr/local/bin", "var/rapid", "var/task"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    home = root / "var/lang"
    copy_python(home, python)
    copy_system(root, home, python, _PROGRAMS)
    shutil.copytree(runtime, root / "var/runtime")
    _write_program(root / "var/runtime/bootstrap", _BOOTSTRAP.format(version=python.version))
    _write_program(root / "lambda-entrypoint.sh", _ENTRYPOINT)
    shutil.copy(emulator, root / "usr/local/bin/aws-lambda-rie")


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
