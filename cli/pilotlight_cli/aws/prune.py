"""Deletes old versions of a function: Lambda keeps all of them, and bills the snapshot of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilotlight_cli.aws import AwsUsageError, versions

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


@dataclass(frozen=True, slots=True)
class Selection:
    """The versions of a function: those to delete, the newest, and older ones that an alias gives traffic to."""

    deleted: tuple[int, ...]
    newest: tuple[int, ...]
    held: tuple[int, ...]


def select(functions: LambdaClient, function: str, keep: int) -> Selection:
    """Choose: the `keep` newest versions stay, and those behind an alias, whatever it gives them. Raises AwsError."""
    if keep < 1:
        raise AwsUsageError(f"--keep is {keep}; expected 1 or more")
    # The aliases last: what one of them takes up while the versions are being listed is not deleted.
    found = versions.published(functions, function)
    behind = versions.behind(functions, function)
    older = found[keep:]
    return Selection(
        tuple(version for version in older if version not in behind),
        tuple(found[:keep]),
        tuple(version for version in older if version in behind),
    )


def prune(functions: LambdaClient, function: str, selection: Selection, say: Callable[[str], None]) -> None:
    """Delete what was chosen, oldest first. Lambda itself refuses a version that an alias has. Raises AwsError."""
    for version in sorted(selection.deleted):
        say(f"deleting version {version} of {function}")
        versions.delete(functions, function, version)


def prune_text(function: str, selection: Selection, *, dry_run: bool) -> str:
    """A sentence on what was deleted, or would be."""
    if not selection.deleted:
        return f"{function} has no version to delete"
    held = f", and {_list(selection.held)} behind an alias" if selection.held else ""
    return (
        f"{'Would delete' if dry_run else 'Deleted'} {_list(selection.deleted)} of {function}; "
        f"{'there would stay' if dry_run else 'there stay'} {_list(selection.newest)}{held}"
    )


def _list(numbers: tuple[int, ...]) -> str:
    return f"version{'' if len(numbers) == 1 else 's'} {', '.join(map(str, sorted(numbers)))}"
