"""What the publisher's own module defines: the names that a model may request of it."""

from __future__ import annotations

import ast
from pathlib import Path

from pilotlight.runtimes.own_modules import install, read_sources
from pilotlight_cli.sandbox.job import Job, UsageError


def install_own_module(job: Job) -> None:
    """Make the publisher's own module importable, if there is one. Raise ModelError."""
    if job.module:
        install(Path(job.module).stem, Path(job.module).read_bytes())


def own_names(job: Job) -> frozenset[str]:
    """Return the `module.name` of every class and function in it, which nothing has to run to find.

    Raise UsageError for a file that is no Python.
    """
    if not job.module:
        return frozenset()
    file = Path(job.module)
    names = set()
    for path, source in read_sources(file.stem, file.read_bytes()).items():
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        try:
            statements = ast.parse(source).body
        except SyntaxError as error:
            raise UsageError(f"--with-module: {path} is no valid Python: {error.msg} in line {error.lineno}") from None
        names |= {
            f"{module}.{statement.name}"
            for statement in statements
            if isinstance(statement, (ast.ClassDef, ast.FunctionDef))
        }
    return frozenset(names)
