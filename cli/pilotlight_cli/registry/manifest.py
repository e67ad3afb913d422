"""The documents of a model store: a manifest for each version, and aliases, which may move."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotlight.errors import PilotlightError
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.lock import (
    FIELDS,
    LAST_VERSION,
    NAME,
    OPTIONAL_FIELDS,
    VERSION,
    Description,
    read_description,
    write_description,
)

MANIFEST_FORMAT = 1
ALIAS_FORMAT = 1

CREATED_AT = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"


class NameRefused(PilotlightError):
    """A name or a reference on the command line is not valid."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`manifest.json` of a published version. `created_at` is UTC to the second, `2026-07-31T12:00:00Z`.

    `source` is the URL that the model was downloaded from, with its version, commit or digest; empty for local files.
    """

    model: Description
    created_at: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """`aliases/<alias>.json` of a model: a movable name for a version."""

    alias: str
    version: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A model's name with a version, with an alias, or with neither for the newest version."""

    name: str
    version: int | None = None
    alias: str | None = None


def read_manifest(content: bytes) -> Manifest:
    """Parse the bytes of a `manifest.json`; shared/schema/manifest.schema.json is its format."""
    optional = (*OPTIONAL_FIELDS, "source")
    fields = Node(read_json(content)).document(MANIFEST_FORMAT, "created_at", *FIELDS, optional=optional)
    created_at = fields["created_at"].string(CREATED_AT, 'a time in UTC like "2026-07-31T12:00:00Z"')
    source = fields["source"].string(r"(?s).+", "a URL") if "source" in fields else ""
    return Manifest(read_description(fields), created_at, source)


def write_manifest(manifest: Manifest) -> dict[str, object]:
    """Return the JSON form of a manifest."""
    source = {"source": manifest.source} if manifest.source else {}
    document = {"format": MANIFEST_FORMAT, "created_at": manifest.created_at, **source}
    return document | write_description(manifest.model)


def read_alias(content: bytes) -> Alias:
    """Parse the bytes of an alias; shared/schema/alias.schema.json is its format."""
    fields = Node(read_json(content)).document(ALIAS_FORMAT, "alias", "version")
    alias = fields["alias"].string(NAME, f"a name that matches ^{NAME}$")
    return Alias(alias, fields["version"].integer(1, LAST_VERSION))


def write_alias(alias: Alias) -> dict[str, object]:
    """Return the JSON form of an alias."""
    return {"format": ALIAS_FORMAT, "alias": alias.alias, "version": alias.version}


def parse_reference(text: str) -> Reference:
    """Parse `NAME`, `NAME:VERSION` or `NAME@ALIAS`. Raise NameRefused."""
    match = re.fullmatch(rf"(?P<name>{NAME})(:(?P<version>{VERSION})|@(?P<alias>{NAME}))?", text)
    if match is None:
        raise NameRefused(
            f"{text!r} is not a reference to a model; expected NAME, NAME:VERSION or NAME@ALIAS, like breast-cancer:3 "
            "or breast-cancer@production"
        )
    version = match["version"]
    return Reference(match["name"], int(version) if version else None, match["alias"])


def check_name(text: str, what: str) -> str:
    """Return `text` if it can be the name of a model or an alias. Raise NameRefused."""
    if not re.fullmatch(NAME, text):
        raise NameRefused(
            f"{text!r} cannot be {what}: expected a lower-case letter and up to 40 letters, digits, '-' or '_'"
        )
    return text
