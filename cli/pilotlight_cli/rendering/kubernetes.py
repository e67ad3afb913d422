"""Kubernetes manifests of a pinned model: the files of deploy/kubernetes, with its names and numbers filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from textwrap import indent

from pilotlight.model.lock import Description
from pilotlight_cli.assets import ROOT
from pilotlight_cli.pinning.needs import to_configure
from pilotlight_cli.project.folders import NAME, NAME_EXPECTED
from pilotlight_cli.rendering import RenderUsageError

TEMPLATES = ROOT / "deploy" / "kubernetes"

RULES = ROOT / "deploy" / "compose" / "prometheus" / "rules.yaml"
_JOB = 'job="pilotlight"'

# https://github.com/distribution/reference: registry and path, then a tag, a digest, or both.
_IMAGE = re.compile(
    r"(?P<name>[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*)"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity
_CPU = re.compile(r"[1-9]\d*m?|\d+\.\d+")
_MEMORY = re.compile(r"[1-9]\d*(Mi|Gi|M|G)")
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")

_MIB = 1 << 20
# Where the publisher measured nothing: the server without a model takes about 60 MB in a process, and a model a few
# times its file.
_LEAST_MEMORY = 512
_MEMORY_OF_MODEL = 4


@dataclass(frozen=True, slots=True)
class Release:
    """What is filled in: `image` with a tag or a digest, `store` as a URL. Without `memory` the model decides."""

    name: str
    image: str
    store: str
    host: str
    cpu: str
    memory: str = ""


def render(release: Release, model: Description) -> dict[Path, str]:
    """Return the manifests by their paths. Raise RenderUsageError for what Kubernetes would refuse, or later miss."""
    fields = _fields(release, model)
    return {
        path.relative_to(TEMPLATES): Template(path.read_text(encoding="utf-8")).substitute(fields)
        for path in sorted(TEMPLATES.rglob("*"))
        if path.is_file()
    }


def write(files: Mapping[Path, str], folder: Path, *, force: bool) -> int:
    """Write the files that are not there as they are, and return how many.

    Raise RenderUsageError if one of another content would be lost, unless `force` says that it may.
    """
    changed = {folder / path: text for path, text in files.items() if _content(folder / path) != text}
    others = [str(path) for path in changed if path.exists()]
    if others and not force:
        raise RenderUsageError(
            f"{', '.join(others[:3])}{f' and {len(others) - 3} more' if others[3:] else ''} would change; commit or "
            "save what is yours, then overwrite it with --force, or choose another folder with --output"
        )
    for path, text in changed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return len(changed)


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _fields(release: Release, model: Description) -> dict[str, str]:
    _check("the name", release.name, re.compile(NAME), NAME_EXPECTED)
    _check("--host", release.host, _HOST, "a domain name like models.example.com")
    _check("--cpu", release.cpu, _CPU, "processors like 1, 0.5 or 500m")
    image = _check("the image", release.image, _IMAGE, "REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST")
    tag, digest = image["tag"], image["digest"]
    if not digest and tag in (None, "latest"):
        raise RenderUsageError(
            f"the image {release.image} names no release; name a tag that is never moved, or a digest: "
            f"{image['name']}:1 or {image['name']}@sha256:..."
        )
    if not release.store.startswith(("s3://", "gs://")):
        raise RenderUsageError(
            f"the store is {release.store}, which a pod cannot reach; bring the model to a bucket with 'pilotlight "
            "copy', and name it with --store s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
        )
    size = sum(file.size for file in model.files)
    memory = release.memory or f"{_memory(model, size)}Mi"
    _check("--memory", memory, _MEMORY, "a size like 512Mi or 2Gi")
    return {
        "name": release.name,
        "image": release.image,
        "image_name": image["name"],
        "image_version": f"digest: {digest}" if digest else f'newTag: "{tag}"',
        "store": release.store,
        "host": release.host,
        "cpu": release.cpu,
        "memory": memory,
        "scratch": f"{-(-size // _MIB) + 64}Mi",
        "rules": _rules(release.name),
    }


def _rules(name: str) -> str:
    """Return the alerts for jobs called like the Services, as Prometheus's operator calls them."""
    _, key, rules = RULES.read_text(encoding="utf-8").partition("groups:")
    own = rules.replace(_JOB, f'job=~"{name}(-canary)?"')
    return indent(key + own.rstrip(), "  ")


def _memory(model: Description, size: int) -> int:
    """Return the MiB for a model whose files have `size` bytes: what its publisher measured, or a guess."""
    if model.needs is not None:
        return max(_LEAST_MEMORY, to_configure(model))
    needed = _LEAST_MEMORY // 2 + _MEMORY_OF_MODEL * size / _MIB
    return max(_LEAST_MEMORY, int(-(-needed // 128) * 128))


def _check(what: str, text: str, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise RenderUsageError(f"{what} is {text!r}; expected {expected}")
    return found
