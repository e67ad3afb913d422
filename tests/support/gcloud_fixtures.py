"""The real gcloud on a fake Google Cloud, in an environment in which it reaches nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from fakes.cloud_run import PROJECT
from fakes.google_cloud import APIS, FakeGoogle

needs_gcloud = pytest.mark.skipif(
    shutil.which("gcloud") is None, reason="NO GCLOUD HERE: what talks to Google Cloud through gcloud is not tested"
)


@pytest.fixture(scope="session")
def service_account_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the key file of a service account that exists nowhere."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("key") / "key.json"
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": f"deployer@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    file.write_text(json.dumps(account))
    return file


def gcloud_environ(fake: FakeGoogle, key: Path, folder: Path) -> dict[str, str]:
    """Return an environment in which gcloud and our own calls reach the fake; `folder` is for gcloud's files."""
    endpoints = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"http://{api}.test/" for api in APIS}
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
    return (
        kept
        | endpoints
        | {
            "CLOUDSDK_CONFIG": str(folder),
            "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": str(key),
            "CLOUDSDK_AUTH_TOKEN_HOST": "http://oauth.test/token",
            "CLOUDSDK_PROXY_TYPE": "http_no_tunnel",
            "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1",
            "CLOUDSDK_PROXY_PORT": str(fake.port),
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "http_proxy": fake.proxy,
            "https_proxy": fake.proxy,
            "no_proxy": "127.0.0.1,localhost",
        }
    )
