"""Documents held to the types of those who read them, by TypeScript: unlike their schemas it refuses unknown fields."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npm import installed

# A document has the values of an enumeration, not its members; and it leaves out what has a default.
_HELPERS = """
type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Partly<T> = T extends (infer U)[] ? Partly<U>[] : T extends object ? { [K in keyof T]?: Partly<T[K]> } : T;
"""
_OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext")
_ERROR = re.compile(r"document(\d+)\.ts\(\d+,\d+\): error \w+: (.*)")


@dataclass(frozen=True)
class Typed:
    """A document of a type, which a package of tools/manifests exports from a module; `form` is around the type."""

    document: Any
    name: str
    module: str
    form: str = "{}"

    def source(self) -> str:
        """Return a module that the compiler accepts if the document is of the type."""
        form = self.form.format("Type")
        text = json.dumps(self.document, indent=1)
        return (
            f'import type {{ {self.name} as Type }} from "{self.module}";{_HELPERS}\nexport const d: {form} = {text};\n'
        )


def errors(folder: Path, documents: Sequence[Typed]) -> list[tuple[int, str]]:
    """Return what the compiler says, each with the number of its document. `folder` is empty."""
    packages = _linked(folder)
    files = [f"document{number}.ts" for number in range(len(documents))]
    for file, document in zip(files, documents, strict=True):
        (folder / file).write_text(document.source())
    command = [str(packages / "typescript/bin/tsc"), *_OPTIONS, *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = [(int(number), message) for number, message in _ERROR.findall(done.stdout)]
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return found


def refusals(folder: Path, documents: Sequence[Typed]) -> list[tuple[int, str]]:
    """Return what the validators beside the types say of values. They accept unknown fields."""
    _linked(folder)
    lines = []
    for number, each in enumerate(documents):
        lines.append(f'import {{ {each.name[1:]} as K{number} }} from "{each.module}";')
        lines.append(f"try {{ new K{number}({json.dumps(each.document)}).validate(); }}")
        lines.append(f"catch (error) {{ console.log({number}, error.message); }}")
    (folder / "validate.mjs").write_text("\n".join(lines))
    done = subprocess.run(["node", "validate.mjs"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = [line.partition(" ") for line in done.stdout.splitlines()]
    return [(int(number), message) for number, _, message in answers]


def _linked(folder: Path) -> Path:
    """Let programs in this folder find the packages, and return where they are."""
    packages = installed("manifests", "typescript").parent
    (folder / "node_modules").symlink_to(packages)
    return packages
