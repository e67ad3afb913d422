"""DynamoDB through boto3: for credentials and settings of every kind, as a container may have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from dynamodb_features import error_of
from pilotlight.errors import StoreUnavailable

_SECONDS = 2  # for a connection, and for the next bytes


class Boto3Client:
    """See `dynamodb_features.Client`. Its own limits are longer than a budget: a lookup may take them once."""

    def __init__(self) -> None:
        config = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 1})
        try:
            self._client: Any = boto3.Session().client("dynamodb", config=config)
        except (BotoCoreError, ValueError) as error:
            raise StoreUnavailable(f"boto3: {error}") from error

    def batch_get(self, tables: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:  # noqa: ARG002 - boto3 has its own
        """See `Client`."""
        try:
            reply: Mapping[str, Any] = self._client.batch_get_item(RequestItems=tables)
        except ClientError as error:
            found = error.response["Error"]
            raise error_of(found.get("Code", ""), found.get("Message", "")) from error
        except (BotoCoreError, HTTPError) as error:
            raise StoreUnavailable(f"boto3: {error}") from error
        return reply

    def close(self) -> None:
        """See `Client`."""
        self._client.close()
