"""A model store in S3, or a service with its protocol: `s3://bucket/prefix`, through boto3."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as NoConnection,
)
from s3transfer.exceptions import RetriesExceededError

from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight_cli.stores import (
    OWNER_VARIABLE,
    AlreadyExists,
    Progress,
    StoreUrlError,
    below,
    check_key,
    check_size,
    split_url,
)
from pilotlight_cli.stores.arrivals import arriving

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# Three attempts (AWS_MAX_ATTEMPTS changes that), a second or two apart: enough for a brief fault, and an endpoint that
# does not respond is reported within seconds.
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard"})

_PART_SIZE = 16 << 20
_MAX_PARTS = 10_000
_THREADS = 4

# Metadata by which a publisher recognises its own object.
_WRITER = "pilotlight-writer"

_OF_ACCOUNT = re.compile(r"pilotlight-models-([0-9]{12})-[a-z0-9-]+")

_SIGN_IN = "sign in with 'aws sso login', or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True, slots=True)
class S3Store:
    """See `pilotlight_cli.stores.Store`. Files above `part_size` bytes (at least 5 MiB in S3) are uploaded in parts."""

    url: str
    client: S3Client
    bucket: str
    prefix: str
    part_size: int = _PART_SIZE

    def read(self, key: str) -> bytes:
        """See `Store.read`."""
        with self.translated(f"{self.url}/{key}", "s3:GetObject"):
            found = self.client.get_object(Bucket=self.bucket, Key=self._name(key))
            with closing(found["Body"]) as body:
                check_size(f"{self.url}/{key}", found["ContentLength"])
                return body.read()

    def download(self, key: str, file: Path, progress: Progress) -> None:
        """See `Store.download`."""
        lock = Lock()

        def report(count: int) -> None:
            with lock:
                progress(count)

        with self.translated(f"{self.url}/{key}", "s3:GetObject"), arriving(file) as out:
            self.client.download_fileobj(self.bucket, self._name(key), out, Callback=report)

    def create(self, key: str, content: bytes) -> None:
        """See `Store.create`."""
        with self._creating(key) as writer:
            self.client.put_object(
                Bucket=self.bucket,
                Key=self._name(key),
                Body=content,
                IfNoneMatch="*",
                ChecksumAlgorithm="SHA256",
                Metadata={_WRITER: writer},
            )

    def create_from(self, key: str, file: Path, progress: Progress) -> None:
        """See `Store.create_from`."""
        size = file.stat().st_size
        if size <= self.part_size:
            self.create(key, file.read_bytes())
            progress(size)
            return
        name = self._name(key)
        with self._creating(key) as writer:
            # boto3's own upload_file uploads in parts too, but without IfNoneMatch.
            upload = self.client.create_multipart_upload(
                Bucket=self.bucket, Key=name, ChecksumAlgorithm="SHA256", Metadata={_WRITER: writer}
            )["UploadId"]
            try:
                parts = self._send_parts(name, upload, file, size, progress)
                self.client.complete_multipart_upload(
                    Bucket=self.bucket, Key=name, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
                )
            except BaseException:
                # Abandoned parts appear in no listing, but are billed.
                with suppress(ClientError, BotoCoreError):
                    self.client.abort_multipart_upload(Bucket=self.bucket, Key=name, UploadId=upload)
                raise

    def replace(self, key: str, content: bytes) -> None:
        """See `Store.replace`."""
        with self.translated(f"{self.url}/{key}", "s3:PutObject"):
            self.client.put_object(Bucket=self.bucket, Key=self._name(key), Body=content, ChecksumAlgorithm="SHA256")

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}{below(prefix)}"
        )
        with self.translated(self.url, "s3:ListBucket"):
            for page in pages:
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):  # consoles create empty objects to show as folders
                        yield entry["Key"].removeprefix(self.prefix)

    def modified(self, key: str) -> datetime:
        """See `Store.modified`."""
        with self.translated(f"{self.url}/{key}", "s3:GetObject"):
            return self.client.head_object(Bucket=self.bucket, Key=self._name(key))["LastModified"]

    def delete(self, key: str) -> None:
        """See `Store.delete`. In a bucket with versions, S3 keeps the object as an older one."""
        with self.translated(f"{self.url}/{key}", "s3:DeleteObject"):
            self.client.delete_object(Bucket=self.bucket, Key=self._name(key))

    def _name(self, key: str) -> str:
        return f"{self.prefix}{check_key(self.url, key)}"

    def _send_parts(
        self, name: str, upload: str, file: Path, size: int, progress: Progress
    ) -> list[CompletedPartTypeDef]:
        part_size = max(self.part_size, -(-size // _MAX_PARTS))

        def send(number: int) -> tuple[CompletedPartTypeDef, int]:
            with file.open("rb") as source:
                source.seek((number - 1) * part_size)
                content = source.read(part_size)
            reply = self.client.upload_part(
                Bucket=self.bucket,
                Key=name,
                UploadId=upload,
                PartNumber=number,
                Body=content,
                ChecksumAlgorithm="SHA256",
            )
            part: CompletedPartTypeDef = {"PartNumber": number, "ETag": reply["ETag"]}
            if "ChecksumSHA256" in reply:
                part["ChecksumSHA256"] = reply["ChecksumSHA256"]
            return part, len(content)

        parts = []
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                for done in as_completed([pool.submit(send, 1 + index) for index in range(-(-size // part_size))]):
                    part, count = done.result()
                    parts.append(part)
                    progress(count)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return sorted(parts, key=lambda part: part["PartNumber"])

    @contextmanager
    def _creating(self, key: str) -> Iterator[str]:
        """Raise AlreadyExists only if another publisher wrote the object, not an attempt whose response was lost."""
        writer = secrets.token_hex(16)
        with self.translated(f"{self.url}/{key}", "s3:PutObject"):
            try:
                yield writer
            except ClientError as error:
                if _status(error) not in (409, 412):
                    raise
                if error.response["ResponseMetadata"]["RetryAttempts"] == 0 or not self._wrote(key, writer):
                    raise AlreadyExists(f"{self.url}/{key} exists already") from error

    def _wrote(self, key: str, writer: str) -> bool:
        try:
            found = self.client.head_object(Bucket=self.bucket, Key=self._name(key))["Metadata"]
        except ClientError:
            return False
        return found.get(_WRITER) == writer

    @contextmanager
    def translated(self, where: str, permission: str) -> Iterator[None]:
        """Turn boto3's errors into StoreError."""
        try:
            yield
        except ClientError as error:
            raise self._response_error(where, permission, error) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StoreError(f"{where}: no AWS credentials ({error}); {_SIGN_IN}") from error
        except (NoConnection, HTTPClientError, IncompleteReadError, RetriesExceededError) as error:
            raise StoreUnavailable(f"{where}: no response from {self.client.meta.endpoint_url} ({error})") from error
        except FlexibleChecksumError as error:
            raise StoreUnavailable(f"{where}: checksum mismatch ({error}); try again") from error
        except BotoCoreError as error:
            raise StoreError(f"{where}: {error}") from error

    def _response_error(self, where: str, permission: str, error: ClientError) -> StoreError:
        status, code = _status(error), error.response["Error"]["Code"]
        found = f"{status} {code}" if code != str(status) else code
        if code == "NoSuchBucket":
            return ObjectRefused(f"{where}: no bucket {self.bucket!r} ({found}); create it, or correct the URL")
        if status in (403, 404):
            return ObjectRefused(
                f"{where} was refused ({found}). Either it or the bucket {self.bucket!r} does not exist, or these "
                f"credentials lack {permission} (without s3:ListBucket a missing object is a 403 too), or "
                "another account owns the bucket"
            )
        if status >= 500 or code in ("RequestTimeout", "TooManyRequests"):
            return StoreUnavailable(f"{where}: {self.client.meta.endpoint_url} responded with {found}; try again later")
        return StoreError(f"{where}: {error}")


def open_s3(url: str) -> S3Store:
    """Return the store at `s3://bucket/prefix`, reached as AWS's own variables and configuration files say."""
    bucket, prefix = split_url(url)
    try:
        client = boto3.Session().client("s3", config=_CONFIG)
    except ProfileNotFound as error:
        raise StoreError(f"{url}: {error}; {_SIGN_IN}") from error
    except (BotoCoreError, ValueError) as error:
        raise StoreUrlError(f"{url}: {error}; see AWS_ENDPOINT_URL_S3 and the profile in use") from error
    if owner := _owner(bucket):
        expected = partial(_expecting, owner)
        client.meta.events.register("provide-client-params.s3", expected)  # type: ignore[arg-type]
    return S3Store(url.rstrip("/"), client, bucket, prefix)


def _expecting(owner: str, params: Mapping[str, object], **_: object) -> dict[str, object]:
    """Return the parameters of a call for a bucket of that account."""
    return {**params, "ExpectedBucketOwner": owner}


def _owner(bucket: str) -> str:
    """Return the account that must own a bucket, or nothing if any may: S3 refuses every request to another's.

    Anybody can take a name that bootstrap.yaml would make, since it is easy to guess; but it has the account.
    """
    named = _OF_ACCOUNT.fullmatch(bucket)
    return named[1] if named else os.environ.get(OWNER_VARIABLE, "")


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
