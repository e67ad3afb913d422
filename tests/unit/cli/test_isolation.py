from __future__ import annotations

from pathlib import Path

import pytest

import models
from pilotlight.errors import ModelError
from pilotlight_cli import isolation
from pilotlight_cli.isolation import ask
from pilotlight_cli.workbench.job import Job, write_job


def test_a_process_that_dies_is_told_from_one_that_refuses(tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    job = Job(
        path=path, kind="nothing", wanted="", signature="", golden="", admitted=frozenset(), allow=(), folder=tmp_path
    )
    with pytest.raises(ModelError, match=r"the process that looked into plain-tensors\.onnx ended with exit code 1"):
        ask("look", write_job(job), tmp_path, tmp_path, path.name)


def test_the_process_gets_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/secret")
    environment = isolation._environment(Path("/packages"))
    assert set(environment) <= {*isolation._ENVIRONMENT, "PYTHONPATH"}
    assert environment["PYTHONPATH"].startswith("/packages:")
