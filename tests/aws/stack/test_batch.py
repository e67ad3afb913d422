"""The stack for whole buckets: what its function and its state machine may do, and what the state machine does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from templates import BATCH, Resources, properties, statements
from translation import deployed, translate

GIVEN = {"StoreUrl": "s3://models/team", "InputBucket": "rows", "OutputBucket": "scores"}
KEYS = ["arn:aws:kms:us-east-1:123456789012:key/1", "arn:aws:kms:us-east-1:123456789012:key/2"]


def batch(**given: str) -> Resources:
    values = GIVEN | given
    resources: Resources = deployed(translate(BATCH, values), values, "nightly")["Resources"]
    return resources


def definition(**given: str) -> dict[str, Any]:
    made = properties(batch(**given), "StateMachine")["DefinitionString"]
    text = made if isinstance(made, str) else made["Fn::Sub"]
    found: dict[str, Any] = json.loads(text[0] if isinstance(text, list) else text)
    return found


def test_the_function_reads_the_files_and_the_model_and_writes_the_results_alone() -> None:
    found = {name: (one["Action"], one["Resource"]) for name, one in statements(batch(), "BatchRole").items()}
    assert found.keys() == {
        "WriteTheLog",
        "ReadTheModel",
        "ListTheFilesAndTheResults",
        "ReadTheFiles",
        "KeepTheResults",
    }
    assert found["ReadTheModel"] == ("s3:GetObject", "arn:aws:s3:::models/team/*")
    assert found["ReadTheFiles"] == ("s3:GetObject", "arn:aws:s3:::rows/*")
    assert found["ListTheFilesAndTheResults"][1] == ["arn:aws:s3:::rows", "arn:aws:s3:::scores"]
    assert found["KeepTheResults"][1] == "arn:aws:s3:::scores/*"


def test_a_job_of_s3_batch_operations_calls_the_function_and_has_its_manifest_and_report_alone() -> None:
    role = properties(batch(), "OperationsRole")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "batchoperations.s3.amazonaws.com"}
    found = {name: (one["Action"], one["Resource"]) for name, one in statements(batch(), "OperationsRole").items()}
    function = found.pop("CallTheFunction")
    assert function == ("lambda:InvokeFunction", {"Fn::GetAtt": ["BatchFunction", "Arn"]})
    assert found == {
        "ReadTheManifest": (["s3:GetObject", "s3:GetObjectVersion"], "arn:aws:s3:::scores/operations/*"),
        "WriteTheReport": ("s3:PutObject", "arn:aws:s3:::scores/operations/*"),
    }


@pytest.mark.parametrize("role", ["BatchRole", "StatesRole", "OperationsRole"])
def test_keys_are_used_where_buckets_have_them(role: str) -> None:
    assert statements(batch(KeyArns=",".join(KEYS)), role)["UseTheKeys"]["Resource"] == KEYS


def test_the_map_has_the_limits_of_the_stack_and_neither_batches_items_nor_writes_results() -> None:
    score = definition(Concurrency="7", ToleratedFailurePercentage="5")["States"]["Score"]
    assert (score["MaxConcurrency"], score["ToleratedFailurePercentage"]) == (7, 5)
    assert score["ItemReader"]["ReaderConfig"] == {"InputType": "JSONL"}
    assert score.keys().isdisjoint({"ItemBatcher", "ResultWriter"})
    # Nothing of a shard is in the output of a state, which has 256 KB.
    assert score["ResultPath"] is score["ItemProcessor"]["States"]["ScoreShard"]["OutputPath"] is None


def test_a_job_that_can_never_work_is_not_tried_again() -> None:
    states = definition()["States"]
    tasks = [states["Plan"], states["Score"]["ItemProcessor"]["States"]["ScoreShard"]]
    first = [task["Retry"][0] for task in tasks]
    assert [one["MaxAttempts"] for one in first] == [0, 0]
    assert set(first[1]["ErrorEquals"]) < set(first[0]["ErrorEquals"])
