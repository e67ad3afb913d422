"""Deletes old versions of a function: Lambda keeps them all, and bills the snapshot of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilotlight_cli.aws import AwsUsageError, versions

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


@dataclass(frozen=True, slots=True)
class Selection:
    """The versions of a function: those to delete, the newest, and older ones that an alias routes traffic to."""

    deleted: tuple[int, ...]
    newest: tuple[int, ...]
    aliased: tuple[int, ...]


def select(functions: LambdaClient, function: str, keep: int) -> Selection:
    """Select the versions to delete: not the `keep` newest, nor those behind an alias. Raise AwsError."""
    if keep < 1:
        raise AwsUsageError(f"--keep is {keep}; expected 1 or more")
    # The aliases last: a version that one of them picks up while the versions are listed is kept.
    published = versions.published(functions, function)
    behind = versions.behind(functions, function)
    older = published[keep:]
    return Selection(
        tuple(version for version in older if version not in behind),
        tuple(published[:keep]),
        tuple(version for version in older if version in behind),
    )


def prune(functions: LambdaClient, function: str, selection: Selection, say: Callable[[str], None]) -> None:
    """Delete the selected versions, oldest first. Lambda itself refuses one behind an alias. Raise AwsError."""
    for version in sorted(selection.deleted):
        say(f"deleting version {version} of {function}")
        versions.delete(functions, function, version)


def prune_text(function: str, selection: Selection, *, dry_run: bool) -> str:
    """Return a sentence on what was deleted, or would be."""
    if not selection.deleted:
        return f"{function} has no versions to delete"
    aliased = f", and {_list(selection.aliased)} behind an alias" if selection.aliased else ""
    return (
        f"{'Would delete' if dry_run else 'Deleted'} {_list(selection.deleted)} of {function}; "
        f"{'would keep' if dry_run else 'kept'} {_list(selection.newest)}{aliased}"
    )


def _list(numbers: tuple[int, ...]) -> str:
    return f"version{'' if len(numbers) == 1 else 's'} {', '.join(map(str, sorted(numbers)))}"
