"""The nested stack for records: a source, its mapping to the alias, what rings, and what the function may do."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.settings import read_settings
from pilotlight_cli.assets import ROOT
from templates import (
    SOURCES,
    STREAMS,
    Resources,
    of_type,
    properties,
    refused,
    stack,
    statements,
    streams,
    streams_parameters,
    text,
    the,
    waits_for,
)

MAPPING = "AWS::Lambda::EventSourceMapping"
ALARM = "AWS::CloudWatch::Alarm"
QUEUE = "AWS::SQS::Queue"
ACCOUNT = "us-east-1:123456789012"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
QUEUES, LOGS, KAFKA = ("create", "create-fifo", "queue", "fifo"), ("kinesis", "dynamodb"), ("msk", "kafka")


def mapping(source: str, **given: str) -> dict[str, Any]:
    resources = streams(**SOURCES[source], **given)
    return properties(resources, the(resources, MAPPING))


def test_without_a_source_there_is_no_nested_stack() -> None:
    assert "Streams" not in stack()
    assert "Streams" in stack(**SOURCES["create"])


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_feeds_the_alias_and_hears_which_records_failed(source: str) -> None:
    found = mapping(source)
    assert found["FunctionName"] == {"Ref": "RecordsFunctionAliaslive"}
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@pytest.mark.parametrize(("source", "batch", "window"), [("create", 100, 1), ("create-fifo", 10, 0), ("fifo", 10, 0)])
def test_a_batch_is_large_and_within_what_the_queue_gives(source: str, batch: int, window: int) -> None:
    found = mapping(source)
    assert (found["BatchSize"], found["MaximumBatchingWindowInSeconds"]) == (batch, window)


@pytest.mark.parametrize("source", SOURCES)
def test_batch_window_filter_and_concurrency_are_parameters(source: str) -> None:
    pattern = '{"body": {"kind": ["row"]}}'
    found = mapping(
        source, RecordsBatchSize="7", RecordsWindowSeconds="3", RecordsFilter=pattern, RecordsConcurrency="4"
    )
    assert (found["BatchSize"], found["MaximumBatchingWindowInSeconds"]) == ("7", "3")
    assert found["FilterCriteria"] == {"Filters": [{"Pattern": pattern}]}
    assert "FilterCriteria" not in mapping(source)
    most: dict[str, dict[str, Any]] = {
        **{key: {"ScalingConfig": {"MaximumConcurrency": "4"}} for key in QUEUES},
        **{key: {"ParallelizationFactor": "4"} for key in LOGS},
        **{key: {"ProvisionedPollerConfig": {"MinimumPollers": 1, "MaximumPollers": "4"}} for key in KAFKA},
    }
    assert found.items() >= most[source].items()


@pytest.mark.parametrize("source", [*LOGS, *KAFKA])
def test_a_stream_bisects_gives_up_and_reports_what_it_gave_up(source: str) -> None:
    found = mapping(source)
    assert found["BisectBatchOnFunctionError"] is True
    assert (found["MaximumRetryAttempts"], found["StartingPosition"]) == (5, "TRIM_HORIZON")
    assert 0 < found["MaximumRecordAgeInSeconds"] < 24 * 3600
    assert found["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["FailedQueue", "Arn"]}}}
    resources = streams(**SOURCES[source])
    assert statements(resources, "RecordsRole")["ReportFailedRecords"]["Resource"] == {
        "Fn::GetAtt": ["FailedQueue", "Arn"]
    }
    assert mapping(source, RecordsStart="LATEST")["StartingPosition"] == "LATEST"


@pytest.mark.parametrize("source", KAFKA)
def test_kafka_has_a_topic_and_a_group_of_its_own(source: str) -> None:
    found = mapping(source)
    assert found["Topics"] == ["rows"]
    assert "'ConsumerGroupId': 'pilotlight-dev-records'" in str(found)


def test_kafka_of_ones_own_is_found_by_its_servers_and_a_secret() -> None:
    found = mapping("kafka", KafkaAuthentication="BASIC_AUTH")
    servers = ["one.example.com:9096", "two.example.com:9096"]
    assert found["SelfManagedEventSource"] == {"Endpoints": {"KafkaBootstrapServers": servers}}
    secret = SOURCES["kafka"]["KafkaSecretArn"]
    assert found["SourceAccessConfigurations"] == [{"Type": "BASIC_AUTH", "URI": secret}]
    assert "EventSourceArn" not in found


@pytest.mark.parametrize(("source", "ending"), [("create", ""), ("create-fifo", ".fifo")])
def test_a_queue_of_the_stack_waits_six_timeouts_and_keeps_what_failed_five_times(source: str, ending: str) -> None:
    resources = streams(**SOURCES[source])
    queue, failed = properties(resources, "Queue"), properties(resources, "FailedQueue")
    assert queue["QueueName"] == f"pilotlight-dev-records{ending}"
    assert failed["QueueName"] == f"pilotlight-dev-records-failed{ending}"
    assert queue.get("FifoQueue", False) == failed.get("FifoQueue", False) == (ending != "")
    timeout = properties(resources, "RecordsFunction")["Timeout"]
    longest_window = 60  # RecordsWindowSeconds takes no more
    assert queue["VisibilityTimeout"] == 6 * timeout + longest_window
    assert refused(**SOURCES[source], RecordsWindowSeconds="61")
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": ["FailedQueue", "Arn"]}, "maxReceiveCount": 5}
    assert queue["RedrivePolicy"] == redrive
    assert queue["SqsManagedSseEnabled"] is failed["SqsManagedSseEnabled"] is True


# What the role may do with the source. Its other statements are the same for all.
READS: dict[str, dict[str, tuple[str, Any]]] = {
    "create": {"ReadTheQueue": ("sqs:", {"Fn::GetAtt": ["Queue", "Arn"]})},
    "create-fifo": {"ReadTheQueue": ("sqs:", {"Fn::GetAtt": ["Queue", "Arn"]})},
    "queue": {"ReadTheQueue": ("sqs:", f"arn:aws:sqs:{ACCOUNT}:rows")},
    "fifo": {"ReadTheQueue": ("sqs:", f"arn:aws:sqs:{ACCOUNT}:rows.fifo")},
    "kinesis": {"ReadTheStream": ("kinesis:", SOURCES["kinesis"]["RecordsSource"])},
    "dynamodb": {"ReadTheTablesStream": ("dynamodb:", SOURCES["dynamodb"]["RecordsSource"])},
    "msk": {
        "FindTheCluster": ("kafka:", SOURCES["msk"]["RecordsSource"]),
        "ReadTheTopic": (
            "kafka-cluster:",
            [
                SOURCES["msk"]["RecordsSource"],
                f"arn:aws:kafka:{ACCOUNT}:topic/rows/0a1b-2c3d/rows",
                f"arn:aws:kafka:{ACCOUNT}:group/rows/0a1b-2c3d/pilotlight-dev-records",
            ],
        ),
        "ConnectToTheVpc": ("ec2:", "*"),
    },
    "kafka": {"SignInToKafka": ("secretsmanager:", SOURCES["kafka"]["KafkaSecretArn"])},
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_role_reads_its_source_and_no_other(source: str) -> None:
    found = statements(streams(**SOURCES[source]), "RecordsRole")
    for name in ("ReadTheModelStore", "WriteItsOwnLog", "WriteResults"):
        del found[name]
    reports = found.pop("ReportFailedRecords", None)
    assert (reports is None) == (source in ("queue", "fifo"))
    assert {name: one["Resource"] for name, one in found.items()} == {
        name: resource for name, (_, resource) in READS[source].items()
    }
    for name, (service, _) in READS[source].items():
        action = found[name]["Action"]
        actions = [action] if isinstance(action, str) else action
        assert all(one.startswith(service) and "*" not in one for one in actions)


def test_the_role_reads_the_objects_that_notifications_may_name_and_no_others() -> None:
    found = statements(streams(**SOURCES["create"], RecordsObjects="s3://rows/incoming"), "RecordsRole")
    reading, listing = found["ReadTheObjects"], found["TellThatAnObjectIsGone"]
    assert (reading["Action"], reading["Resource"]) == ("s3:GetObject", "arn:aws:s3:::rows/incoming/*")
    assert (listing["Action"], listing["Resource"]) == ("s3:ListBucket", "arn:aws:s3:::rows")
    assert refused(**SOURCES["create"], RecordsObjects="s3://rows/*")


def test_what_this_account_puts_in_front_of_the_queue_may_send_to_it() -> None:
    (statement,) = properties(streams(**SOURCES["create"]), "QueuePolicy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_the_role_writes_to_its_destination_and_no_other() -> None:
    in_s3 = statements(streams(**SOURCES["create"]), "RecordsRole")["WriteResults"]
    assert (in_s3["Action"], in_s3["Resource"]) == ("s3:PutObject", "arn:aws:s3:::results/scores/*")
    for arn in (f"arn:aws:sqs:{ACCOUNT}:out.fifo", f"arn:aws:events:{ACCOUNT}:event-bus/results"):
        given = {**SOURCES["create"], "RecordsResults": arn}
        assert refused(**{**given, "RecordsResults": f"{arn}*"})
        if not arn.endswith(".fifo"):
            assert statements(streams(**given), "RecordsRole")["WriteResults"]["Resource"] == arn


@pytest.mark.parametrize("source", SOURCES)
def test_the_roles_have_the_boundary_and_the_functions_have_roles_of_ours(source: str) -> None:
    resources = streams(**SOURCES[source], PermissionsBoundary=BOUNDARY)
    roles = of_type(resources, "AWS::IAM::Role")
    assert {properties(resources, role)["PermissionsBoundary"] for role in roles} == {BOUNDARY}
    used = {
        properties(resources, name)["Role"]["Fn::GetAtt"][0] for name in of_type(resources, "AWS::Lambda::Function")
    }
    assert used == set(roles)


# ---- Release ----


def version(resources: Resources) -> str:
    return the(resources, "AWS::Lambda::Version")


def test_records_shift_as_requests_do_with_a_hook_and_alarms_of_the_version() -> None:
    given = {**SOURCES["create"], "DeploymentType": "Canary10Percent5Minutes"}
    resources = streams(**given)
    policy = resources["RecordsFunctionAliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert policy["BeforeAllowTrafficHook"] == {"Ref": "RecordsPreTrafficHook"}
    group = properties(resources, "RecordsFunctionDeploymentGroup")
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    assert group["ServiceRoleArn"] == "CodeDeployRole"  # the outer stack's
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    watched = [alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]]
    assert watched == ["ServerErrorsAlarm", "FunctionErrorsAlarm", "InitFailuresAlarm", "OutOfRangeAlarm"]
    for name in watched:
        alarm = properties(resources, name)
        assert alarm["AlarmName"]["Fn::Sub"].startswith("pilotlight-dev-records-")
        assert alarm["AlarmName"]["Fn::Sub"].endswith(f"-${{{version(resources)}.Version}}")
        assert '"Ref": "RecordsFunction"' in text(alarm)
    assert "RecordsFunctionAliaslive" not in waits_for(resources, "RecordsHookRole")
    assert "RecordsFunctionAliaslive" in waits_for(resources, "QueueMapping")


def test_a_release_digest_alone_publishes_a_version_of_the_function_for_records() -> None:
    first, second = (streams(**SOURCES["create"], ReleaseDigest=digit * 64) for digit in "01")
    assert (version(first), version(second)) == (
        f"RecordsFunctionVersion{'0' * 10}",
        f"RecordsFunctionVersion{'1' * 10}",
    )
    assert properties(first, "RecordsFunction")["Description"].endswith("0" * 64)


def test_the_function_takes_its_settings_from_the_stack() -> None:
    given = {**SOURCES["create"], "Threads": "2", "MaxBodyBytes": "1000", "StoreUrl": "s3://models/team"}
    variables = properties(streams(**given), "RecordsFunction")["Environment"]["Variables"]
    settings = read_settings({**variables, "PILOTLIGHT_FAILURES": ""}, ROOT, processors=4)
    assert (settings.store, settings.results) == ("s3://models/team", "s3://results/scores")
    assert variables["PILOTLIGHT_FAILURES"] == {"Fn::GetAtt": ["FailedQueue", "Arn"]}
    assert (settings.threads, settings.max_body_bytes) == (2, 1000)


def test_every_parameter_gets_a_value_from_the_outer_stack() -> None:
    assert streams_parameters(**SOURCES["create"]).keys() == STREAMS["Parameters"].keys()


def test_the_names_fit_the_longest_name_of_a_stack() -> None:
    resources = streams(**SOURCES["create"])
    names = [properties(resources, name)["FunctionName"] for name in of_type(resources, "AWS::Lambda::Function")]
    assert all(len(name.replace("pilotlight-dev", "s" * 44)) <= 64 for name in names)


# ---- Alarms for people ----

RINGS = {
    **{key: {"FailedAlarm", "QueueDelayAlarm"} for key in ("create", "create-fifo")},
    **{key: {"QueueDelayAlarm"} for key in ("queue", "fifo")},
    **{key: {"FailedAlarm", "UnreportedAlarm", "StreamDelayAlarm"} for key in LOGS},
    **{key: {"FailedAlarm", "UnreportedAlarm", "KafkaDelayAlarm"} for key in KAFKA},
}


@pytest.mark.parametrize("source", SOURCES)
def test_people_hear_of_records_that_wait_or_failed_and_of_a_failing_version(source: str) -> None:
    topic = f"arn:aws:sns:{ACCOUNT}:pager"
    resources = streams(**SOURCES[source], AlarmTopicArn=topic, RecordsDelaySeconds="60")
    told = {name for name in of_type(resources, ALARM) if properties(resources, name).get("AlarmActions") == [topic]}
    assert told == RINGS[source]
    assert properties(resources, "ReleaseAlarm")["AlarmActions"] == [topic]
    assert "ServerErrorsAlarm" in text(properties(resources, "ReleaseAlarm"))
    for name in told - {"KafkaDelayAlarm"}:
        alarm = properties(resources, name)
        assert alarm["Threshold"] == ("60" if "Delay" in name else 0)


def test_a_delay_is_that_of_the_queue_that_is_read() -> None:
    names = {
        source: properties(streams(**SOURCES[source]), "QueueDelayAlarm")["Dimensions"] for source in ("create", "fifo")
    }
    assert names["create"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}]
    assert names["fifo"] == [{"Name": "QueueName", "Value": "rows.fifo"}]


# ---- Refusals ----

WRONG = {
    "an unknown service": ({"RecordsSource": f"arn:aws:mq:{ACCOUNT}:broker:b"}, "RecordsSource is 'arn:aws:mq"),
    "a topic of SNS": ({"RecordsSource": f"arn:aws:sns:{ACCOUNT}:rows"}, "RecordsSource is 'arn:aws:sns"),
    "a table for its stream": ({"RecordsSource": f"arn:aws:dynamodb:{ACCOUNT}:table/rows"}, "RecordsSource is"),
    "no destination": ({"RecordsResults": ""}, "RecordsSource needs RecordsResults"),
    "results without records": ({"RecordsSource": ""}, "RecordsResults is for the records of RecordsSource"),
    "a destination that is no ARN": ({"RecordsResults": "results"}, "RecordsResults is 'results'; it must be"),
    "a destination with a wildcard": ({"RecordsResults": "s3://results/*"}, "RecordsResults is 's3://results/*'"),
    "a pattern that is no object": ({"RecordsFilter": "kind"}, "RecordsFilter is 'kind'; it must be a pattern"),
    "a batch of nothing": ({"RecordsBatchSize": "0"}, "RecordsBatchSize is '0'; it must be a whole number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_work_is_refused_with_a_sentence(case: str) -> None:
    given, sentence = WRONG[case]
    (found,) = refused(**{**SOURCES["create"], **given})
    assert found.startswith(sentence)


def test_a_source_and_its_settings_stay_when_only_the_destination_moves() -> None:
    """A queue is where messages wait: no change of a release makes it anew."""
    before = streams(**SOURCES["create"])
    after = streams(**{**SOURCES["create"], "RecordsResults": f"arn:aws:sns:{ACCOUNT}:results"}, ReleaseDigest="1" * 64)
    for name in of_type(before, QUEUE):
        assert before[name] == after[name]
