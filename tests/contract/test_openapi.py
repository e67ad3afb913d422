"""The function's own OpenAPI document, and the Open Inference Protocol's, held against the running function."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.local.server import serving
from reporting import REPORTED, Recorder

TOOLS = ROOT / "tools"
RUN = "import sys; from schemathesis.cli import schemathesis; sys.argv[0] = 'st'; schemathesis()"

# A description of the protocol does not say what this model takes: what follows it may be refused, and what does not
# may be taken. Everything else that can be checked is.
OF_THE_PROTOCOL = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance", "allow_header_conformance"),
)


@pytest.fixture(scope="module", params=["aws", "gcp"])
def url(request: pytest.FixtureRequest, lock: Path, store: str) -> Iterator[str]:
    with serving(request.param, lock, store) as server:
        yield server.url


def schemathesis(folder: Path, url: str, document: Any, *options: str, **environ: str) -> str:
    """Return the output of a run against `url`. Fail if Schemathesis finds anything."""
    file = folder / "document.json"
    file.write_text(json.dumps(document))
    paths = (host_packages(TOOLS / "fuzzers.txt"), Path(__file__).parent)
    done = subprocess.run(
        [
            *isolated_python(),
            "-c",
            RUN,
            "run",
            str(file),
            "--url",
            url,
            "--no-color",
            "--request-timeout",
            "60",
            "--suppress-health-check",
            "too_slow",
            "--max-examples",
            "10",
            "--phases",
            "examples,coverage,fuzzing",
            "--generation-database",
            "none",
            *options,
        ],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
            **environ,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def cases(printed: str) -> int:
    found = re.search(r"(\d+) generated, (\d+) passed", printed)
    assert found
    assert found[1] == found[2]
    return int(found[1])


def test_schemathesis_finds_nothing_by_the_functions_own_document(
    url: str, tmp_path: Path, record_property: Recorder
) -> None:
    document = requests.get(f"{url}/openapi.json").json()
    tried = cases(schemathesis(tmp_path, url, document, "--checks", "all"))
    assert tried > 300
    record_property(REPORTED, f"schemathesis by the function's own document: {tried} requests, nothing found")


def test_schemathesis_finds_nothing_by_the_protocols_document(
    url: str, lock: Path, tmp_path: Path, record_property: Recorder
) -> None:
    document = protocol()
    own = requests.get(f"{url}/openapi.json").json()
    good = own["paths"]["/v2/models/{m}/infer"]["post"]["requestBody"]["content"]["application/json"]["example"]
    environ = {
        "PILOTLIGHT_TEST_GOOD_REQUEST": json.dumps(good),
        "PILOTLIGHT_TEST_PATH": json.dumps({"model_name": "breast-cancer", "model_version": "1"}),
    }
    printed = schemathesis(tmp_path, url, document, "--checks", ",".join(OF_THE_PROTOCOL), **environ)
    record_property(REPORTED, f"schemathesis by the protocol's document: {cases(printed)} requests, nothing found")


def protocol() -> Mapping[str, Any]:
    """Return the Open Inference Protocol's description in MLServer's package, without MLServer's own additions."""
    file = host_packages(TOOLS / "descriptions.txt") / "mlserver" / "rest" / "openapi" / "dataplane.json"
    document: dict[str, Any] = json.loads(file.read_text().replace('"type": "bytes"', '"type": "string"'))
    own = ("/infer_stream", "/generate", "/generate_stream")
    document["paths"] = {path: item for path, item in document["paths"].items() if not path.endswith(own)}
    assert len(document["paths"]) == 9
    return document
