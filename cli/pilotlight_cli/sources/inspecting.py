"""Inspecting a source: its file, together with what the files beside it say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from pilotlight.errors import FormatError
from pilotlight.model.signature import Signature, write_signature
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.sandbox.inspection import Inspection
from pilotlight_cli.sources.declared import Declared, Source, agreed

Inspect: TypeAlias = Callable[..., Inspection]
"""`sandbox.inspection.inspect` with the publisher's options, but without the file, the signature and the samples."""


def inspect_source(source: Source, inspect: Inspect, *, signature: bytes | None, golden: bytes | None) -> Inspection:
    """Inspect a source as `inspect` does a file. The publisher's own `signature` and `golden` win over its files.

    Raise what `inspect` raises, and ModelError where a file beside the model contradicts it.
    """

    def inspected(signature: bytes | None, golden: bytes | None) -> Inspection:
        return inspect(source.path, signature=signature, golden=golden, given=source.given)

    declared = source.declared or Declared("")
    rows = to_bytes({"instances": list(declared.rows)}) if declared.rows and not golden else None
    notes = list(source.notes)
    if rows:
        notes.append(f"the golden samples are the rows of {declared.rows_place}")
    if signature:
        found = inspected(signature, golden or rows)
        if source.declared:
            notes.append(f"the signature is that of --signature, not of {declared.place}")
        return replace(found, notes=(*notes, *found.notes), source=source.origin)
    given = golden or rows
    try:
        found = inspected(None, given)
    except FormatError:  # the samples fit the declared signature alone, or none
        if source.declared is None or given is None:
            raise
        found, given = inspected(None, None), b""
    merged = agreed(declared, found.signature, guessed=found.runtime.name != "onnx")
    notes += _taken(declared, found.signature, merged)
    if merged != found.signature or given == b"":
        try:
            found = inspected(to_bytes(write_signature(merged)), golden or rows)
        except FormatError as error:
            raise (error if golden else error.within(declared.rows_place or declared.place)) from None
    return replace(found, notes=(*notes, *found.notes), source=source.origin)


def _taken(declared: Declared, found: Signature, merged: Signature) -> list[str]:
    """Return notes about what a signature has from the file that declares it."""
    notes = []
    if merged.feature_names != found.feature_names:
        notes.append(f"the features have their names from {declared.place}")
    if [tensor.datatype for tensor in merged.inputs] != [tensor.datatype for tensor in found.inputs]:
        notes.append(f"the features have their datatypes from {declared.place}")
    missing = [tensor.name for tensor in merged.inputs if tensor.missing]
    if missing != [tensor.name for tensor in found.inputs if tensor.missing]:
        notes.append(f"values may be missing, says {declared.place}: {', '.join(missing)}")
    if merged.labels != found.labels:
        notes.append(f"the labels are from {declared.place}: {', '.join(map(str, merged.labels[:6]))}")
    return notes
