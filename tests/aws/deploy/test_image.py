"""The function that predicts as an image, in the template: what becomes of it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.image import ImageError, as_image, build_image
from pilotlight_cli.aws.release import FUNCTION, digest_of_build
from pilotlight_cli.aws.template import effective_values
from templates import START_MODES, TEMPLATE
from translation import translate


@pytest.mark.parametrize("mode", START_MODES)
def test_of_the_stack_only_the_code_of_the_function_differs_in_every_start_mode(mode: str) -> None:
    values = {**START_MODES[mode], "ReleaseDigest": "0" * 64}
    zipped, imaged = (
        translate(template, values)["Resources"] for template in (TEMPLATE, as_image(TEMPLATE, "a.dkr.ecr/a:1"))
    )
    of_zip, of_image = (found[FUNCTION].pop("Properties") for found in (zipped, imaged))
    assert (of_image.pop("PackageType"), of_image.pop("Code")) == ("Image", {"ImageUri": "a.dkr.ecr/a:1"})
    for key in ("Code", "Handler", "Layers", "Runtime"):
        assert of_zip.pop(key, None) is not None, key
        assert key not in of_image
    assert of_image == of_zip
    assert imaged == zipped


def test_another_base_is_another_release(tmp_path: Path) -> None:
    (tmp_path / FUNCTION).mkdir()
    values = effective_values(TEMPLATE, {})
    forms = [TEMPLATE, *(as_image(TEMPLATE, f"predictfunction:{base}") for base in ("a", "b", "b"))]
    digests = [digest_of_build(form, ROOT, tmp_path, values) for form in forms]
    assert len(set(digests)) == 3
    assert digests[2] == digests[3]


def test_without_docker_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="found no program docker; install Docker"):
        build_image(tmp_path, "a:1", "x86_64")


def test_what_docker_refuses_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho no engine >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ImageError, match="'docker build' failed with exit code 3:\nno engine"):
        build_image(tmp_path, "a:1", "x86_64")
