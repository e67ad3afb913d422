"""`pilotlight summary`: what a change does to a project's pins, as Markdown for a pull request.

Names in a lock come from whoever published the model. They are shown as code, where Markdown means nothing, with the
characters that end code or a cell of a table escaped as in a Python string.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.model.contract import model_changes
from pilotlight.model.golden import read_golden
from pilotlight.model.lock import DEFAULT_SESSION, GOLDEN, Description, read_lock
from pilotlight.model.signature import Input, Output
from pilotlight_cli.comparing.markdown import contract
from pilotlight_cli.console import bytes_text
from pilotlight_cli.markdown import code
from pilotlight_cli.pinning.pin import REQUIREMENTS
from pilotlight_cli.pinning.requirements import pins
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.folders import MODELS, Project
from pilotlight_cli.project.git import GitFailed, git

_LOCK = "model.lock"

_PINS = re.compile(rf"((?:{MODELS}/[^/]+)?)/?{re.escape(_LOCK)}")

_DIGITS = 12
_NAMES = 8  # names listed in a cell
_ROWS = 60  # of a table; a comment on GitHub has a limit

_TENSORS = ("input", "output", "features of")  # the last rows: there may be too many

_HEADER = "| | before | after |\n|---|---|---|"


_Fact = tuple[str, str]

Compare = Callable[[Mapping[str, bytes], Mapping[str, bytes]], str]


@dataclass(frozen=True, slots=True)
class _Pin:
    """A model's pin at one side of the change.

    `facts` are texts in Markdown by kind and name, `names` lists of names of each kind. `problem` says why the lock
    cannot be read.
    """

    model: Description | None = None
    facts: dict[_Fact, str] = field(default_factory=dict)
    names: dict[_Fact, Sequence[str]] = field(default_factory=dict)
    problem: str = ""


def summary(project: Project, base: str, compare: Compare | None = None) -> str:
    """Return what the working tree changes in the pins since a commit. Raise ProjectUsageError, GitFailed.

    `compare` gets the files of a pin before and after, and returns what it finds of their predictions.
    """
    commit, parts = _commit(project.root, base), []
    for folder in _folders(project, commit):
        before = _committed(project.root, commit, folder)
        after = {path.name: path.read_bytes() for path in _files(project.root / folder) if path.is_file()}
        if before.get(_LOCK) != after.get(_LOCK):
            name = Path(folder).name or project.name
            old, new = _pin(before), _pin(after)
            parts.append(_change(name, old, new))
            if old and new and old.model and new.model:
                parts += [contract(changes)] if (changes := model_changes(old.model, new.model)) else []
                parts += [compare(before, after)] if compare else []
    return "\n\n".join(parts) if parts else f"No pin changes since {code(base)}."


def _commit(root: Path, base: str) -> str:
    git(root, "rev-parse", "--git-dir")
    try:
        found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    except GitFailed:
        raise ProjectUsageError(
            f"this repository has no commit {base!r}; fetch it first, or name another with --base"
        ) from None
    return found.decode().strip()


def _folders(project: Project, commit: str) -> list[str]:
    """Return the folders of all models before and after the change, relative to the root: "" and models/NAME."""
    listed = _names(git(project.root, "ls-tree", "-r", "-z", "--name-only", commit, "--", _LOCK, MODELS))
    before = {found[1] for path in listed if (found := _PINS.fullmatch(path))}
    after = {path.parent.relative_to(project.root).as_posix() for path in project.root.glob(f"{MODELS}/*/{_LOCK}")}
    return sorted(before | after | {""})


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in (_LOCK, REQUIREMENTS, GOLDEN)]


def _committed(root: Path, commit: str, folder: str) -> dict[str, bytes]:
    """Return the files of a pin in a commit, by name."""
    paths = [path.as_posix() for path in _files(Path(folder))]
    listed = _names(git(root, "ls-tree", "-z", "--name-only", commit, "--", *paths))
    return {Path(path).name: git(root, "show", f"{commit}:./{path}") for path in listed}


def _names(listed: bytes) -> list[str]:
    """Return the paths that git lists, each with a null byte at its end."""
    return os.fsdecode(listed).split("\0")[:-1]


def _pin(files: dict[str, bytes]) -> _Pin | None:
    if _LOCK not in files:
        return None
    try:
        lock = read_lock(files[_LOCK])
    except FormatError as error:
        return _Pin(problem=str(error))
    model = lock.model
    packages = pins(files.get(REQUIREMENTS, b"").decode(errors="replace"))
    inputs, outputs, matrix = model.signature.inputs, model.signature.outputs, model.signature.matrix
    facts = {
        ("version", ""): code(f"{model.name}:{model.version}"),
        **{
            ("file", file.name): f"{bytes_text(file.size)}, SHA-256 {code(file.sha256[:_DIGITS])}"
            for file in model.files
        },
        **(
            {("signer", ""): f"{code(lock.signer.name)}, key {code(lock.signer.key_id[:_DIGITS])}"}
            if lock.signer
            else {}
        ),
        ("runtime", ""): _runtime(model),
        **{("input", tensor.name): _tensor(tensor) for tensor in inputs},
        **{("output", tensor.name): _tensor(tensor) for tensor in outputs},
        ("golden samples", ""): _golden(files.get(GOLDEN, b"")),
        **{("package", name): code(version) for name, version in packages.items()},
        ("file", REQUIREMENTS): f"SHA-256 {code(lock.requirements_sha256[:_DIGITS])}",
    }
    names: dict[_Fact, Sequence[str]] = {
        **({("features of", matrix.name): model.signature.feature_names} if matrix else {}),
        ("labels", ""): [json.dumps(label, ensure_ascii=False) for label in model.signature.labels],
        ("known globals", ""): model.allowed_globals,
        ("globals that the publisher allowed", ""): model.extra_globals,
    }
    return _Pin(model, facts, names)


def _runtime(model: Description) -> str:
    runtime = model.runtime
    text = f"{code(model.format)} on {code(runtime.engine)}"
    if runtime.session != DEFAULT_SESSION:
        text += f", optimization {runtime.session.graph_optimization}"
        text += "" if runtime.session.prepacking else ", no prepacking"
    return text


def _tensor(tensor: Input | Output) -> str:
    shape = ", ".join("any" if length < 0 else str(length) for length in tensor.shape)
    bounds = tensor.range if isinstance(tensor, Output) else None
    return f"{tensor.datatype.name} ({shape}), {tensor.role}" + (f", {bounds[0]:g} to {bounds[1]:g}" if bounds else "")


def _golden(content: bytes) -> str:
    try:
        golden = read_golden(content)
    except FormatError:
        return "unreadable"
    return f"{len(golden.samples)}, {'generated' if golden.generated else 'given'} inputs"


def _change(name: str, before: _Pin | None, after: _Pin | None) -> str:
    lines = [f"### {code(name)}", ""]
    for pin, side in ((before, "before"), (after, "after")):
        if pin and pin.problem:
            lines += [f"`{_LOCK}` {side} the change cannot be read: {code(pin.problem)}", ""]
    if after is None:
        return "\n".join([*lines, "No longer pinned."])
    if after.problem:
        return "\n".join(lines).rstrip()
    if before and _is_altered(before.model, after.model):
        lines += ["**The same version has other files; a version never changes within one store.**", ""]
    rows = _rows(before or _Pin(), after)
    if not rows:
        return "\n".join([*lines, f"Only the form of `{_LOCK}` changed."])
    shown = [f"| {' | '.join(row)} |" for row in rows[:_ROWS]]
    more = [f"| {len(rows) - _ROWS} more changes | | |"] if len(rows) > _ROWS else []
    return "\n".join([*lines, _HEADER, *shown, *more])


def _is_altered(before: Description | None, after: Description | None) -> bool:
    if before is None or after is None or (before.name, before.version) != (after.name, after.version):
        return False
    return before.files != after.files


def _rows(before: _Pin, after: _Pin) -> list[tuple[str, str, str]]:
    """Return what changed, and its texts before and after."""
    rows = [
        (fact, before.facts.get(fact, "none"), after.facts.get(fact, "none"))
        for fact in dict.fromkeys((*after.facts, *before.facts))
    ]
    rows += [
        (fact, *_differing(before.names.get(fact, ()), after.names.get(fact, ())))
        for fact in dict.fromkeys((*after.names, *before.names))
    ]
    rows.sort(key=lambda row: row[0][0] in _TENSORS)
    return [(f"{kind} {code(name)}" if name else kind, old, new) for (kind, name), old, new in rows if old != new]


def _differing(old: Sequence[str], new: Sequence[str]) -> tuple[str, str]:
    """Return the names that only one side has; if only their order changed, those in another place."""
    if sorted(old) == sorted(new):
        moved = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
        return _listed([name for name, _ in moved]), _listed([name for _, name in moved])
    gone, come = set(old) - set(new), set(new) - set(old)
    return _listed([name for name in old if name in gone]), _listed([name for name in new if name in come])


def _listed(names: Sequence[str]) -> str:
    shown = [code(name) for name in names[:_NAMES]]
    more = [f"{len(names) - _NAMES} more"] if len(names) > _NAMES else []
    return ", ".join([*shown, *more]) or "none"
