"""Deleting old versions, against moto's Lambda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pilotlight_cli.aws import AwsUsageError, versions
from pilotlight_cli.aws.calls import AwsError
from pilotlight_cli.aws.prune import Selection, prune, prune_text, select


def test_the_newest_stay_and_the_others_go(functions: Any, function: str) -> None:
    said: list[str] = []
    prune(functions, function, select(functions, function, 5), said.append)
    assert versions.published(functions, function) == [7, 6, 5, 4, 3]
    assert said == [f"deleting version {number} of {function}" for number in (1, 2)]
    assert functions.get_function(FunctionName=function)["Configuration"]["Version"] == "$LATEST"


def test_a_version_behind_an_alias_stays_whatever_it_gets(functions: Any, function: str) -> None:
    functions.create_alias(FunctionName=function, Name="old", FunctionVersion="2")
    functions.create_alias(
        FunctionName=function,
        Name="live",
        FunctionVersion="6",
        RoutingConfig={"AdditionalVersionWeights": {"4": 0.1}},
    )
    selection = select(functions, function, 1)
    assert selection == Selection(deleted=(5, 3, 1), newest=(7,), aliased=(6, 4, 2))
    prune(functions, function, selection, lambda _: None)
    assert versions.published(functions, function) == [7, 6, 4, 2]


def test_an_alias_of_the_unpublished_code_holds_nothing(functions: Any, function: str) -> None:
    functions.create_alias(FunctionName=function, Name="next", FunctionVersion="$LATEST")
    assert select(functions, function, 6).deleted == (1,)


def test_fewer_versions_than_stay_are_none_to_delete(functions: Any, function: str) -> None:
    assert select(functions, function, 7).deleted == ()
    assert (
        prune_text(function, select(functions, function, 9), dry_run=False) == f"{function} has no versions to delete"
    )


def test_none_can_be_kept_is_wrong_usage(functions: Any, function: str) -> None:
    with pytest.raises(AwsUsageError, match="--keep is 0; expected 1 or more"):
        select(functions, function, 0)


def test_a_function_that_is_not_there_is_named(functions: Any, name: str) -> None:
    with pytest.raises(AwsError, match=f"of {name}: .*ResourceNotFound"):
        select(functions, name, 5)


class Paged:
    """Lambda's lists, in pages of two."""

    def __init__(self, **lists: Sequence[Mapping[str, str]]) -> None:
        self._lists = lists

    def get_paginator(self, operation: str) -> Any:
        return self if operation == "list_versions_by_function" else Paged(Aliases=self._lists["Aliases"])

    def paginate(self, FunctionName: str) -> Any:  # noqa: N803 - boto3's name
        name = "Versions" if "Versions" in self._lists else "Aliases"
        entries = self._lists[name]
        return [{name: entries[start : start + 2]} for start in range(0, len(entries), 2)]


def test_lists_of_several_pages_are_read_to_their_end() -> None:
    numbers = ["$LATEST", *(str(number) for number in range(1, 12))]
    aliases = [{"Name": f"a{number}", "FunctionVersion": str(number)} for number in (1, 2, 3)]
    paged: Any = Paged(Versions=[{"Version": number} for number in numbers], Aliases=aliases)
    selection = select(paged, "function", 2)
    assert selection == Selection(deleted=(9, 8, 7, 6, 5, 4), newest=(11, 10), aliased=(3, 2, 1))


def test_what_was_deleted_and_what_stays_is_said() -> None:
    selection = Selection(deleted=(5, 3), newest=(7, 6), aliased=(4,))
    said = prune_text("predict", selection, dry_run=False)
    assert said == "Deleted versions 3, 5 of predict; kept versions 6, 7, and version 4 behind an alias"
    planned = prune_text("predict", Selection((1,), (2,), ()), dry_run=True)
    assert planned == "Would delete version 1 of predict; would keep version 2"
