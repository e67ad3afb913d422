"""The tool of OpenSSF Model Signing verifies what Pilotlight signs, and Pilotlight what it signs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.main import app
from pilotlight_cli.signing.keys import read_private_key
from signed_versions import CURVES, NAME, Workshop, unasked, write_keys

pytestmark = pytest.mark.usefixtures("index")


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return an environment with the tool, whose dependencies differ from the tests'."""
    return host_packages(ROOT / "tools" / "signing.txt")


def model_signing(packages: Path, *arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [*isolated_python(), "-m", "model_signing", *map(str, arguments)],
        env={"PYTHONPATH": str(packages), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def by_the_tool(packages: Path, workshop: Workshop, signature: Path) -> tuple[int, str]:
    key = ("--private_key", workshop.root / "keys/team.key")
    return model_signing(packages, "sign", "key", workshop.folder, "--signature", signature, *key)


@pytest.mark.parametrize("curve", CURVES)
def test_the_tool_verifies_a_version_in_a_store(curve: str, workshop: Workshop, packages: Path) -> None:
    private, public = write_keys(workshop.root / "keys", "team", ec.generate_private_key(CURVES[curve]))
    workshop.put(read_private_key(private, unasked))
    verifying = ("verify", "key", workshop.folder, "--signature", workshop.folder / "model.sig", "--public_key", public)

    status, printed = model_signing(packages, *verifying)
    assert (status, "Verification succeeded" in printed) == (0, True), printed

    (workshop.folder / "weights.bin").write_bytes(b"forged!")
    status, printed = model_signing(packages, *verifying)
    assert (status, "Hash mismatch" in printed, "weights.bin" in printed) == (1, True, True), printed


def test_a_version_that_the_tool_signed_in_its_store_is_pinned(workshop: Workshop, packages: Path) -> None:
    workshop.put(None)
    status, printed = by_the_tool(packages, workshop, workshop.folder / "model.sig")
    assert status == 0, printed
    signer = workshop.pin().lock.signer
    assert signer
    assert signer.name == "team.pub"


def test_a_signature_that_the_tool_wrote_elsewhere_is_stored_once_it_verifies(
    workshop: Workshop, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.put(None)
    status, printed = by_the_tool(packages, workshop, tmp_path / "made.sig")
    assert status == 0, printed
    monkeypatch.chdir(workshop.root)
    command = ["sign", f"{NAME}:1", "--signature", str(tmp_path / "made.sig")]

    refused = CliRunner().invoke(app, [*command, "--public-key", str(tmp_path / "stranger.pub")])
    assert (refused.exit_code, "made.sig is signed with the key" in refused.stderr) == (1, True), refused.stderr

    signed = CliRunner().invoke(app, command)
    assert signed.exit_code == 0, signed.stderr
    assert (workshop.folder / "model.sig").read_bytes() == (tmp_path / "made.sig").read_bytes()
    assert workshop.pin().lock.signer
