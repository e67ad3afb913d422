"""The URL of a function on Google Cloud, and the identity token that its callers send."""

from __future__ import annotations

from pilotlight_cli.calling import Credentials, Endpoint
from pilotlight_cli.gcp import functions
from pilotlight_cli.gcp.platform import Google

_PYTHON = """
import subprocess

# In a service on Google Cloud: google.oauth2.id_token.fetch_id_token(google.auth.transport.requests.Request(), {url!r})
token = subprocess.check_output({command!r}, text=True).strip()
headers = {{"content-type": "application/json", "authorization": "Bearer " + token}}
"""


def endpoint(google: Google) -> Endpoint:
    """Return the endpoint of an environment's function. Raises GcpError."""
    settings = google.settings
    url = functions.deployed(google.gcloud, settings).uri.rstrip("/")
    command = ["gcloud", "auth", "print-identity-token"]
    if settings.invoker:
        command += [f"--audiences={url}", f"--impersonate-service-account={settings.invoker}", "--include-email"]
    credentials = Credentials(
        lambda _url, _body: {"authorization": f"Bearer {google.gcloud.identity_token(url, settings.invoker)}"},
        f'-H "authorization: Bearer $({" ".join(command)})"',
        python=_PYTHON.format(command=command, url=url),
        hints={403: "the caller needs roles/run.invoker on the service ('invoker' in gcp.toml)"},
    )
    return Endpoint(url, credentials)
