"""Models that the real ORAS pushed to Debian's registry of OCI artifacts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pilotlight.errors import ObjectRefused, PilotlightError
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.sources import obtained
from pilotlight_cli.sources.oci import artifact
from repository import SAMPLE

PUSH = "import sys, oras.client; oras.client.OrasClient(insecure=True).push(sys.argv[1], files=sys.argv[2:])"


@pytest.fixture(scope="module")
def pushed(oci_registry: str, registry_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give a registry with `models/tumours:1`, which has two files, and `models/notes:1`, which has no model."""
    folder = tmp_path_factory.mktemp("push")
    shutil.copyfile(SAMPLE / "model.onnx", folder / "model.onnx")
    (folder / "README.md").write_text("Tumours\n")
    for reference, files in (("models/tumours:1", ["model.onnx", "README.md"]), ("models/notes:1", ["README.md"])):
        subprocess.run(
            [*isolated_python(), "-c", PUSH, f"{oci_registry}/{reference}", *files],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(registry_packages)},
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=60,
        )
    return oci_registry


def test_a_tag_is_resolved_to_a_digest_which_names_the_same_files(pushed: str) -> None:
    source = obtained(f"oci://{pushed}/models/tumours:1")
    assert source.path.name == "model.onnx"
    assert source.path.read_bytes() == (SAMPLE / "model.onnx").read_bytes()
    resolved = re.search(rf"oci://{re.escape(pushed)}/models/tumours:1 is (sha256:[0-9a-f]{{64}})", source.notes[0])
    assert resolved
    assert source.origin == f"oci://{pushed}/models/tumours@{resolved[1]}"
    assert artifact(source.origin).sizes == {"model.onnx": source.path.stat().st_size, "README.md": 8}


REFUSED: list[tuple[str, type[PilotlightError], str]] = [
    ("models/tumours:2", ObjectRefused, "not found (404: manifest unknown); check the name and the version"),
    ("models/nothing:1", ObjectRefused, "not found (404: manifest unknown)"),
    (f"models/tumours@sha256:{'0' * 64}", ObjectRefused, "not found (404: manifest unknown)"),
    ("models/notes:1", NotRecognised, "has README.md; expected one model file"),
]


@pytest.mark.parametrize(("reference", "kind", "sentence"), REFUSED)
def test_what_a_registry_does_not_have_is_said(
    reference: str, kind: type[PilotlightError], sentence: str, pushed: str
) -> None:
    with pytest.raises(kind, match=re.escape(sentence)):
        obtained(f"oci://{pushed}/{reference}")
