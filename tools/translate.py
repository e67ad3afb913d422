"""Writes the translation of template.yaml to plain CloudFormation, for linters that do not support SAM.

Usage: python tools/translate.py FOLDER

`translated.json` is the translation as CloudFormation gets it, with its conditions. Each other file resolves it for one
set of parameters; together they cover every start mode, every authorization and every condition. Each
`streams-*.json` is the nested stack for records of one kind of source.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.template import Template, load_template
from translation import deployed, translate

ACCOUNT = "123456789012"
VARIANTS = {
    "on-demand-iam": {"ReleaseDigest": "0" * 64},
    "provisioned-jwt": {
        "StartMode": "provisioned",
        "MinProvisioned": "2",
        "MaxProvisioned": "10",
        "Authorization": "jwt",
        "JwtIssuer": "https://issuer.example.com/",
        "JwtAudience": "pilotlight,other",
        "CorsOrigins": "https://example.com,https://example.org",
        "StoreUrl": "s3://bucket/team/models",
        "StoreKeyArn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000",
        "Tracing": "true",
        "AlarmEmail": "someone@example.com",
    },
    "snapstart-api-key": {
        "StartMode": "snapstart",
        "Authorization": "api-key",
        "Layers": f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:tools:1",
        "ManagedPolicies": "arn:aws:iam::aws:policy/CloudWatchLambdaInsightsExecutionRolePolicy",
        "SubnetIds": "subnet-0a1b2c3d,subnet-4e5f6a7b",
        "SecurityGroupIds": "sg-0a1b2c3d",
        "ReservedConcurrency": "20",
        "FailureDestinationArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:failed",
        "DisableDefaultEndpoint": "true",
        "SilenceHours": "24",
        "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    },
    "open-to-everyone": {
        "Authorization": "open-to-everyone",
        "CorsOrigins": "*",
        "AlarmTopicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:alarms",
        "RecordsSource": "create",
        "RecordsResults": "s3://results",
    },
}

# The nested stack for records: its source, and its destination.
STREAMS = {
    "create-fifo": {
        "RecordsSource": "create-fifo",
        "RecordsResults": f"arn:aws:sns:us-east-1:{ACCOUNT}:results",
        "RecordsFilter": '{"body": {"kind": ["row"]}}',
        "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    },
    "kinesis": {
        "RecordsSource": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/rows",
        "RecordsResults": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/results",
        "SubnetIds": "subnet-0a1b2c3d,subnet-4e5f6a7b",
        "SecurityGroupIds": "sg-0a1b2c3d",
        "Tracing": "true",
    },
    "dynamodb": {
        "RecordsSource": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/rows/stream/2026-12-02T00:00:00.000",
        "RecordsResults": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/results",
        "StoreKeyArn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000",
        "FormerStoreUrl": "s3://bucket/former",
    },
    "msk": {
        "RecordsSource": f"arn:aws:kafka:us-east-1:{ACCOUNT}:cluster/rows/0a1b2c3d-4e5f",
        "RecordsResults": "s3://results/scores",
        "KafkaTopic": "rows",
    },
    "kafka": {
        "RecordsSource": "kafka://one.example.com:9096,two.example.com:9096",
        "RecordsResults": f"arn:aws:sqs:us-east-1:{ACCOUNT}:results",
        "KafkaTopic": "rows",
        "KafkaSecretArn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:kafka-a1b2c3",
    },
}


def main() -> None:
    """Create the folder and write the files into it."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns of unused features
    folder = Path(sys.argv[1])
    template = load_template(ROOT / "template.yaml")
    # cfn-lint compares the nested templates' parameters with the outer template's, of the stack for records too.
    for place in (folder / "deploy/aws", folder):
        shutil.copytree(ROOT / "deploy/aws", place, dirs_exist_ok=True)
    documents = {name: deployed(translate(template, given), given) for name, given in VARIANTS.items()}
    documents |= {f"streams-{name}": _streams(template, given) for name, given in STREAMS.items()}
    for name, document in {"translated": translate(template, {}), **documents}.items():
        (folder / f"{name}.json").write_text(f"{json.dumps(document, indent=2)}\n", encoding="utf-8")


def _streams(template: Template, given: Mapping[str, str]) -> Template:
    """Return the nested stack for records; names stand for what the outer stack alone knows."""
    outer = deployed(translate(template, given), given)["Resources"]["Streams"]["Properties"]
    known = {
        "CodeDeployRoleArn": f"arn:aws:iam::{ACCOUNT}:role/code-deploy",
        "Topic": f"arn:aws:sns:us-east-1:{ACCOUNT}:alarms",
    }
    values = {**outer["Parameters"], **known}
    return deployed(translate(load_template(ROOT / outer["TemplateURL"]), values), values)


if __name__ == "__main__":
    main()
