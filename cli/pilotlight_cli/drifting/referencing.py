"""The reference of a version: the publisher's rows and what the model answers to them, counted."""

from __future__ import annotations

from pilotlight.drift.columns import sources_of
from pilotlight.drift.reference import Column, write_reference
from pilotlight.drift.verdict import LEAST_ROWS
from pilotlight.errors import FormatError
from pilotlight.model.golden import Golden
from pilotlight.model.signature import Signature
from pilotlight_cli.drifting.choosing import choose
from pilotlight_cli.registry.json_document import to_bytes


def make_reference(signature: Signature, rows: Golden) -> bytes:
    """Return a `reference.json` for samples with the model's outputs. Raise FormatError for too few rows.

    So does a model of which nothing can be counted.
    """
    columns = reference_of(signature, rows)
    if not columns:
        raise FormatError("the model has neither named features nor outputs of one value a row; leave the rows out", "")
    count = sum(columns[0].counts)
    if count < LEAST_ROWS:
        raise FormatError(f"found {count} rows, expected at least {LEAST_ROWS}", "")
    return to_bytes(write_reference(columns))


def reference_of(signature: Signature, rows: Golden) -> tuple[Column, ...]:
    """Return the bins of each column and the counts of samples in them."""
    columns = []
    for source in sources_of(signature):
        name = (signature.outputs if source.is_output else signature.inputs)[source.index].name
        flat = [
            value
            for sample in rows.samples
            for values in (sample.outputs if source.is_output else sample.inputs)
            if values.name == name
            for value in values.data
        ]
        for label, values in zip(source.names, source.split(flat), strict=True):
            bins = choose(label, values)
            columns.append(Column(bins, tuple(bins.count(values))))
    return tuple(columns)
