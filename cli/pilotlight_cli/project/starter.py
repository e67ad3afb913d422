"""The files that `init` copies into a project, as this release has them.

In a file of starter/ `{{name}}` and `{{release}}` are replaced, and the lines from `{{aws}}` to `{{/aws}}` are for a
project with that cloud; in the same way `gcp`, and `github` for a project with its workflows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pilotlight
from pilotlight_cli.assets import ROOT
from pilotlight_cli.project.folders import MODELS, Project
from pilotlight_cli.project.record import git_id

_CLOUD_FILES = {
    "aws": ("template.yaml", "bootstrap.yaml", "samconfig.toml", "functions/aws/", "deploy/aws/", "deploy-aws.yml"),
    "gcp": ("gcp.toml", "deploy/gcp/", "deploy-gcp.yml"),
}
_WORKFLOWS = ".github/workflows/"
_HIDDEN = ("gitignore", "gitattributes", "github")  # without their dot in starter/, where git would obey them
_SECTION = re.compile(r"^\{\{(aws|gcp|github)\}\}\n(.*?)^\{\{/\1\}\}\n", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r'^((?:stack_name|s3_prefix|function) = ")pilotlight', re.MULTILINE)


def rendered(name: str, clouds: Collection[str], ci: str) -> dict[str, bytes]:
    """Return every file that `init` copies to a project's root, by its path, in the order of the paths.

    `ci` is "github" or "none". Not among them: pilotlight.toml, and what depends on the model.
    """
    files = {
        **{path: _text(content.decode(), name, {*clouds, ci}).encode() for path, content in _starter()},
        **{f"deploy/{cloud}/{path}": content for cloud in clouds for path, content in _tree(ROOT / "deploy" / cloud)},
        **{path: (ROOT / path).read_bytes() for path in ("template.yaml", "bootstrap.yaml")},
        **model_settings(name, clouds),
    }
    return {
        path: files[path]
        for path in sorted(files)
        if _cloud(path) in (None, *clouds) and (ci == "github" or not path.startswith(_WORKFLOWS))
    }


def model_settings(name: str, clouds: Collection[str]) -> dict[str, bytes]:
    """Return the settings of a model's stacks and functions, which carry its name, by file name."""
    return {
        file: _NAMED.sub(rf"\g<1>{name}", (ROOT / file).read_text()).encode()
        for file in ("samconfig.toml", "gcp.toml")
        if _cloud(file) in clouds
    }


def copied(project: Project, ci: str) -> dict[str, bytes]:
    """Return the files of `rendered` for a project, with the settings of its models in models/."""
    files = rendered(project.name, project.clouds, ci)
    for model in project.models():
        if not model.is_root:
            files |= settings_in(project, model.name)
    return files


def settings_in(project: Project, model: str) -> dict[str, bytes]:
    """Return the settings of a model in models/, by path: its stacks and functions have the project's name too."""
    settings = model_settings(deployed_name(project, model), project.clouds)
    return {f"{MODELS}/{model}/{file}": content for file, content in settings.items()}


def deployed_name(project: Project, model: str) -> str:
    """Return what the stacks and functions of a model in models/ are called, before the environment."""
    return f"{project.name}-{model}"


def git_ids(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return git's id of each file, for the record."""
    return {path: git_id(content) for path, content in files.items()}


def write_file(path: Path, content: bytes) -> None:
    """Write a file of a project and the folders that it is in; a script is made executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if content.startswith(b"#!"):
        path.chmod(0o755)


def _starter() -> Iterator[tuple[str, bytes]]:
    for path, content in _tree(ROOT / "starter"):
        yield f".{path}" if path.partition("/")[0] in _HIDDEN else path, content


def _tree(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _text(text: str, name: str, parts: Collection[str]) -> str:
    kept = _SECTION.sub(lambda section: _text(section[2], name, parts) if section[1] in parts else "", text)
    return kept.replace("{{name}}", name).replace("{{release}}", pilotlight.__version__)


def _cloud(path: str) -> str | None:
    """Return the cloud that a file is for; None if for each."""
    for cloud, files in _CLOUD_FILES.items():
        if path.removeprefix(_WORKFLOWS).startswith(files):
            return cloud
    return None
