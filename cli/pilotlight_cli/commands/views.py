"""The output of commands on models: tables for people, JSON documents for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from pilotlight.model.formats import too_old
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output, Signature
from pilotlight_cli.console import bytes_text, lines, table
from pilotlight_cli.pinning.needs import needs_text
from pilotlight_cli.registry.manifest import Manifest
from pilotlight_cli.registry.versions import Unreadable
from pilotlight_cli.signing.stored import Signed

if TYPE_CHECKING:
    from pilotlight.model.contract import Change
    from pilotlight_cli.local.verify import VerifyReport
    from pilotlight_cli.sandbox.inspection import Inspection

_DIGITS = 12
_NAMES = 8  # of a model's features; --json has them all


def model_rows(models: Sequence[tuple[str, int, Manifest | Unreadable, Mapping[str, int]]]) -> RenderableType:
    """Return the models of a store as a table: name, number of versions, the newest version, aliases."""
    rows = [
        (name, str(count), str(_number(newest)), *_facts(newest), _aliases(aliases))
        for name, count, newest, aliases in models
    ]
    headers = ("model", "versions", "newest", "created", "format", "size", "sha256", "aliases")
    return table(headers, rows, right=("versions", "newest", "size"))


def version_rows(
    versions: Sequence[Manifest | Unreadable],
    aliases: Mapping[str, int],
    pinned: Mapping[int, Sequence[str]],
    now: datetime,
    signed: Mapping[int, Signed],
) -> RenderableType:
    """Return the versions of a model as a table, newest first; with their signers, if any is signed.

    `pinned` has the project's models that pin each.
    """
    rows = [
        (
            str(_number(version)),
            *_facts(version)[:1],
            _age(version, now),
            *_facts(version)[1:],
            *([_signer(signed.get(_number(version)))] if signed else []),
            ", ".join(_aliases_of(aliases, _number(version))),
            ", ".join(pinned.get(_number(version), ())),
        )
        for version in reversed(versions)
    ]
    headers = (
        "version",
        "created",
        "age",
        "format",
        "size",
        "sha256",
        *(["signer"] if signed else []),
        "aliases",
        "pinned by",
    )
    return table(headers, rows, right=("version", "age", "size"))


def version_document(
    version: Manifest | Unreadable,
    aliases: Mapping[str, int],
    pinned: Mapping[int, Sequence[str]],
    signed: Mapping[int, Signed] | None = None,
) -> dict[str, object]:
    """Return a version of a list as a JSON document, with its signer if `signed` has those of the list."""
    if isinstance(version, Unreadable):
        return {"version": version.version, "problem": version.problem}
    model = version.model
    document: dict[str, object] = {
        "version": model.version,
        "created_at": version.created_at,
        "format": model.format,
        "size": _size(model),
        "sha256": model.files[0].sha256,
        "aliases": _aliases_of(aliases, model.version),
    }
    if signed is not None:
        document["signer"] = signer_document(signed.get(model.version))
    if model.version in pinned:
        document["pinned_by"] = list(pinned[model.version])
    problem = too_old(model.runtime.packages)
    return document | {"cannot_be_pinned": problem} if problem else document


def signer_document(signed: Signed | None) -> dict[str, str | None] | None:
    """Return who signed a version as a JSON document; its name is null if the project does not know the key."""
    if signed is None:
        return None
    if signed.problem:
        return {"problem": signed.problem}
    return {"name": signed.name or None, "key_id": signed.key_id}


def details(manifest: Manifest, aliases: Mapping[str, int], signed: Signed | None = None) -> RenderableType:
    """Return a version's files, runtime, signature and signer."""
    model = manifest.model
    title = Text(f"{model.name}:{model.version}", "bold")
    for alias in _aliases_of(aliases, model.version):
        title.append(f"  @{alias}", "green")
    packages = ", ".join(f"{name} {version}" for name, version in model.runtime.packages.items())
    rows: list[tuple[str, str | Text]] = [
        ("created", _when(manifest.created_at)),
        *([("source", manifest.source)] if manifest.source else []),
        ("runtime", f"{model.format} on {model.runtime.engine}"),
        ("packages", packages),
    ]
    if needs := needs_text(model):
        rows.append(("needs", needs))
    if signed:
        rows.append(("signer", _signer(signed)))
    if model.runtime.methods:
        rows.append(("methods", ", ".join(model.runtime.methods)))
    problem = too_old(model.runtime.packages)
    if problem:
        rows.append(("cannot be pinned", Text(problem, "bold red")))
    if model.allowed_globals:
        rows.append(("known globals", ", ".join(model.allowed_globals)))
    if model.extra_globals:
        rows.append(("extra globals", Text(", ".join(model.extra_globals), "bold yellow")))
    files = [(file.name, bytes_text(file.size), file.sha256) for file in (*model.files, *model.companions)]
    listed = table(("file", "size", "sha256"), files, right=("size",))
    return Group(title, Text(), _pairs(rows), Text(), listed, Text(), signature(model.signature))


def inspection(found: Inspection) -> RenderableType:
    """Return what publish would make of a model file."""
    packages = ", ".join(f"{name} {version}" for name, version in found.runtime.packages.items())
    rows = [("runtime", f"{found.format} on {found.runtime.engine}"), ("packages", packages)]
    if found.allowed_globals:
        rows.append(("known globals", ", ".join(found.allowed_globals)))
    count = len(found.golden.samples)
    source = "generated" if found.golden.generated else "given"
    rows.append(("golden samples", f"{count}, {source}" if count else "none"))
    files = [(file.name, bytes_text(file.stat().st_size)) for file in found.files]
    listed = table(("file", "size"), files, right=("size",))
    return Group(_pairs(rows), Text(), listed, Text(), signature(found.signature))


def signature(found: Signature) -> RenderableType:
    """Return a model's inputs, outputs and labels as tables."""
    rows = [("input", *_tensor(tensor), _features(tensor)) for tensor in found.inputs]
    rows += [("output", *_tensor(tensor), _range(tensor)) for tensor in found.outputs]
    shown = table(("", "name", "datatype", "shape", "role", ""), rows)
    labels = ", ".join(map(str, found.labels))
    return Group(shown, Text(), _pairs([("labels", labels)])) if labels else shown


def contract(changes: Sequence[Change]) -> RenderableType:
    """Return what changes for callers as a table; how each change breaks them comes last."""
    rows = [
        (
            Text("breaking", "bold red") if change.breaks else Text("compatible", "green"),
            f"{change.kind}: {change.name}" if change.name else change.kind,
            change.before,
            change.after,
            change.breaks,
        )
        for change in changes
    ]
    return table(("contract", "change", "before", "after", ""), rows)


def checks(report: VerifyReport) -> RenderableType:
    """Return the checks of `verify` as a table."""
    rows = [
        (Text("ok", "green") if item.ok else Text("failed", "bold red"), item.name, lines(item.detail))
        for item in report.checks
    ]
    return table(("", "check", ""), rows)


def _pairs(rows: Sequence[tuple[str, str | Text]]) -> RenderableType:
    shown = table(("", ""), [(Text(name, "dim"), value) for name, value in rows])
    shown.show_header = False
    return shown


def _tensor(tensor: Input | Output) -> tuple[str, str, str, str]:
    shape = ", ".join("any" if length < 0 else str(length) for length in tensor.shape)
    return tensor.name, tensor.datatype.name, f"[{shape}]", tensor.role


def _features(tensor: Input) -> str:
    return "; ".join(filter(None, (_listed(tensor), "may be missing" if tensor.missing else "")))


def _listed(tensor: Input) -> str:
    names = tensor.feature_names
    if not names:
        is_matrix = tensor.role == "features" and len(tensor.shape) == 2 and tensor.shape[1] > 1
        return f"{tensor.shape[1]} features: f0 to f{tensor.shape[1] - 1}" if is_matrix else ""
    shown = names if len(names) <= _NAMES else (*names[: _NAMES - 2], "...", names[-1])
    return f"{len(names)} features: {', '.join(shown)}"


def _range(tensor: Output) -> str:
    return f"{tensor.range[0]:g} to {tensor.range[1]:g}" if tensor.range else ""


def _facts(version: Manifest | Unreadable) -> tuple[str, str | Text, str, str]:
    if isinstance(version, Unreadable):
        return "", Text("unreadable", "red"), "", ""
    model = version.model
    shown = Text(f"{model.format}, cannot be pinned", "red") if too_old(model.runtime.packages) else model.format
    return _when(version.created_at), shown, bytes_text(_size(model)), model.files[0].sha256[:_DIGITS]


def _signer(signed: Signed | None) -> str | Text:
    if signed is None:
        return ""
    if signed.problem:
        return Text("invalid", "bold red")
    return signed.name or f"key {signed.key_id[:_DIGITS]}"


def _number(version: Manifest | Unreadable) -> int:
    """Return the number of a version of a list."""
    return version.version if isinstance(version, Unreadable) else version.model.version


def _size(model: Description) -> int:
    return sum(file.size for file in model.files)


def _age(version: Manifest | Unreadable, now: datetime) -> str:
    """Return how long ago a version was created, in the largest unit of which there are two."""
    if isinstance(version, Unreadable):
        return ""
    seconds = max((now - datetime.fromisoformat(version.created_at)).total_seconds(), 0)
    for unit, length in (("years", 365 * 86400), ("months", 30 * 86400), ("days", 86400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // 60:.0f} min"


def _when(created_at: str) -> str:
    return created_at[:16].replace("T", " ")


def _aliases(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{alias} {version}" for alias, version in aliases.items())


def _aliases_of(aliases: Mapping[str, int], version: int) -> list[str]:
    return [alias for alias, number in aliases.items() if number == version]
