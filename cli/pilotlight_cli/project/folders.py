"""Finding the project and its models, and where the files of each are."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pilotlight
from pilotlight.errors import FormatError
from pilotlight.model.json_document import Node
from pilotlight.model.lock import FILE_NAME
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.record import made_by

FILE = "pilotlight.toml"
MODELS = "models"
CLOUDS = ("aws", "gcp")

# A name gets a suffix like -staging, and then has to suit a stack and Cloud Run's tag URLs, at most 40 characters.
NAME = r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?"
NAME_EXPECTED = "a name of at most 32 of a-z, 0-9 and -, a letter first"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model of a project: its lock, with the files that `pin` writes and its settings beside it.

    `root` is the project's absolute folder. A lock outside of a project has its own folder as root.
    """

    name: str
    lock: Path
    root: Path

    @property
    def environments(self) -> Path:
        """The settings of the stacks."""
        return self.lock.with_name("samconfig.toml")

    @property
    def gcp_settings(self) -> Path:
        """The settings of the functions on Google Cloud."""
        return self.lock.with_name("gcp.toml")

    @property
    def template(self) -> Path:
        """The template of the stacks, without links: through one SAM CLI does not find the functions' folders."""
        return (self.root / "template.yaml").resolve()

    @property
    def is_root(self) -> bool:
        """Whether the model is at the project's root."""
        return self._folder == self.root

    def built(self, name: str) -> Path:
        """Return the folder of a built package: build/NAME, or build/models/MODEL/NAME."""
        return self.root / "build" / self._folder.relative_to(self.root) / name

    @property
    def sam_build(self) -> Path:
        """The folder of what SAM builds to deploy."""
        return self.root / ".aws-sam" / self._folder.relative_to(self.root) / "build"

    @property
    def _folder(self) -> Path:
        return self.lock.resolve().parent


@dataclass(frozen=True, slots=True)
class Project:
    """A project: its folder, its name, the clouds that it deploys to, and the URL of its model store.

    `signers` are files of public keys, relative to the folder: a version that none of them signed is not pinned.
    """

    root: Path
    name: str
    clouds: tuple[str, ...]
    store: str
    signers: tuple[str, ...] = ()

    def models(self) -> tuple[ModelFolder, ...]:
        """Return the model at the root, if any, and those in models/ in the order of their names."""
        folders = sorted(path for path in (self.root / MODELS).glob("[!.]*/") if path.is_dir())
        found = [self._folder(folder.name, folder) for folder in folders]
        if not found or (self.root / "model.lock").exists():
            found.insert(0, self._folder(self.name, self.root))
        return tuple(found)

    def model(self, name: str = "") -> ModelFolder:
        """Return a model by its name; without one, the only model. Raise ProjectUsageError."""
        models = self.models()
        names = ", ".join(model.name for model in models)
        if not name and len(models) > 1:
            raise ProjectUsageError(f"this project has {len(models)} models: {names}; name one with --model NAME")
        for model in models:
            if name in ("", model.name):
                return model
        raise ProjectUsageError(f"this project has no model {name!r}; it has {names}")

    def _folder(self, name: str, folder: Path) -> ModelFolder:
        return ModelFolder(name, shown(folder / "model.lock"), self.root)


def find_project(start: Path | None = None) -> Project:
    """Return the project of a folder, by default the current one. Raise ProjectUsageError or FormatError."""
    start = start or Path()
    project = project_above(start)
    if project is None:
        raise ProjectUsageError(
            f"no project here: neither {start.resolve()} nor a folder above has {FILE}; 'pilotlight init' creates a "
            "project"
        )
    return project


def project_above(start: Path) -> Project | None:
    """Return the project of a folder, None if it is in no project. Raise FormatError, or what `read_project` raises."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return read_project(folder)
    return None


def read_project(root: Path) -> Project:
    """Read pilotlight.toml. Raise FormatError, or ProjectUsageError for a project of a newer release."""
    made = made_by(root)
    if _numbers(made) > _numbers(pilotlight.__version__):
        raise ProjectUsageError(
            f"{root} is a project of Pilotlight {made}, this is {pilotlight.__version__}; upgrade with "
            f"'pip install --upgrade pilotlight=={made}'"
        )
    try:
        document = tomllib.loads((root / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"cannot be read: {error}", path="", file=FILE) from None
    try:
        fields = Node(document, "").fields("name", "clouds", "store", optional=("signers",))
        return Project(
            root,
            fields["name"].string(NAME, NAME_EXPECTED),
            fields["clouds"].items(lambda item: item.one_of(*CLOUDS), at_least=1),
            store_url(root, fields["store"].string(r"\S+", "a folder, or the URL of a model store")),
            fields["signers"].items(_read_signer, at_least=1) if "signers" in fields else (),
        )
    except FormatError as error:
        raise error.within(FILE) from None


def _read_signer(node: Node) -> str:
    return node.string(rf"({FILE_NAME}/)*{FILE_NAME}", "a public key's file in the project, like keys/team.pub")


def store_url(root: Path, store: str) -> str:
    """Return the URL of a store that a project names, which may be a folder relative to its root."""
    return store if "://" in store else (root / store).resolve().as_uri()


def selected(model: str = "", lock: Path | None = None) -> ModelFolder:
    """Return what the options --model and --lock select. Raise ProjectUsageError."""
    if lock is None:
        return find_project().model(model)
    if model:
        raise ProjectUsageError("--model and --lock are mutually exclusive")
    return ModelFolder(lock.resolve().parent.name, lock, lock.resolve().parent)


def clouds_of(lock: Path | None = None) -> Sequence[str]:
    """Return the clouds of the project; all for a lock that --lock names. Raise ProjectUsageError."""
    return CLOUDS if lock else find_project().clouds


def shown(path: Path) -> Path:
    """Return a path relative to the current folder if it is below it, as messages show it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else Path(relative)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
