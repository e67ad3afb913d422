"""Commands that sign: what they print, and which keys they take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import models
from pilotlight_cli.main import app
from pilotlight_cli.signing.keys import read_public_key
from signed_versions import NAME, Workshop, write_keys

PASSPHRASE = "PILOTLIGHT_KEY_PASSPHRASE"


@pytest.fixture(autouse=True)
def in_the_project(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PILOTLIGHT_STORE", raising=False)
    monkeypatch.delenv(PASSPHRASE, raising=False)
    monkeypatch.chdir(workshop.root)


def run(*arguments: str, code: int = 0, typed: str | None = None) -> Any:
    result = CliRunner().invoke(app, list(arguments), input=typed)
    assert result.exit_code == code, result.output
    return result


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_publish_signs_a_version_and_show_and_list_print_who_did(workshop: Workshop, tmp_path: Path) -> None:
    model = str(models.plain_tensors(tmp_path))
    printed = run("publish", model, "--name", NAME, "--sign", "keys/team.key")
    assert f"signer key {workshop.team.key_id[:12]}" in lines(printed.stdout)
    assert "warning" not in printed.stderr
    run("publish", model, "--name", NAME)

    assert "signer team.pub" in lines(run("show", f"{NAME}:1").stdout)
    assert "signer" not in run("show", f"{NAME}:2").stdout
    headers, newest, first = lines(run("list", NAME).stdout)
    assert (headers.split()[-4:-2], "team.pub" in newest, "team.pub" in first) == (["signer", "aliases"], False, True)

    signer = {"name": "team.pub", "key_id": workshop.team.key_id}
    assert json.loads(run("show", f"{NAME}:1", "--json").stdout)["signer"] == signer
    versions = json.loads(run("list", NAME, "--json").stdout)["versions"]
    assert [version["signer"] for version in versions] == [signer, None]


def test_a_signature_of_another_key_is_shown_as_such_and_of_other_files_as_invalid(workshop: Workshop) -> None:
    workshop.put(workshop.stranger)
    assert json.loads(run("show", NAME, "--json").stdout)["signer"] == {
        "name": None,
        "key_id": workshop.stranger.key_id,
    }
    workshop.put(workshop.team, weights=b"other")
    workshop.store.replace(f"{NAME}/1/model.sig", workshop.store.read(f"{NAME}/2/model.sig"))
    shown = run("show", f"{NAME}:1")
    assert "signer invalid" in lines(shown.stdout)
    assert "model.sig is not the signature of breast-cancer:1: it signs another" in shown.stderr
    listed = json.loads(run("list", NAME, "--json").stdout)["versions"]
    assert "is not the signature" in listed[0]["signer"]["problem"]


def test_sign_signs_what_is_published(workshop: Workshop) -> None:
    workshop.put(None)
    printed = run("sign", f"{NAME}:1", "--key", "keys/team.key").stdout
    assert printed == f"Signed {NAME}:1 in {workshop.store.url} with the key {workshop.team.key_id}\n"
    workshop.put(None)
    document = json.loads(run("sign", f"{NAME}:2", "--key", "keys/team.key", "--json").stdout)
    assert document == {
        "store": workshop.store.url,
        "name": NAME,
        "version": 2,
        "signer": {"name": None, "key_id": workshop.team.key_id},
    }


def test_a_key_that_the_project_does_not_name_is_warned_about(workshop: Workshop, tmp_path: Path) -> None:
    workshop.put(None)
    said = run("sign", f"{NAME}:1", "--key", str(tmp_path / "stranger.key")).stderr
    assert f"pilotlight.toml does not name the key {workshop.stranger.key_id} among its signers" in said


def test_an_encrypted_key_takes_its_passphrase_from_the_environment_or_says_so(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = write_keys(tmp_path, "sealed", passphrase="correct")
    workshop.put(None)
    said = run("sign", f"{NAME}:1", "--key", str(private), code=1).stderr
    assert f"sealed.key is encrypted, and this is not a terminal; set {PASSPHRASE}" in said
    monkeypatch.setenv(PASSPHRASE, "correct")
    assert read_public_key(public).signer.key_id in run("sign", f"{NAME}:1", "--key", str(private)).stdout


def test_an_encrypted_key_asks_for_its_passphrase_at_a_terminal(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = write_keys(tmp_path, "sealed", passphrase="correct")
    workshop.put(None)
    monkeypatch.setattr("pilotlight_cli.commands.signing._is_terminal", lambda: True)
    signed = run("sign", f"{NAME}:1", "--key", str(private), typed="correct\n")
    assert read_public_key(public).signer.key_id in signed.stdout
    assert "Passphrase of" in signed.stderr
    assert "correct" not in signed.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "expected either --key or --signature"),
        (["--key", "a", "--signature", "b"], "expected either --key or --signature"),
        (["--key", "a", "--public-key", "b"], "--public-key requires --signature"),
        (["--key", "gone.key"], "gone.key cannot be read"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(options: list[str], said: str, workshop: Workshop) -> None:
    workshop.put(None)
    assert said in run("sign", f"{NAME}:1", *options, code=2).stderr


def test_a_key_that_cannot_be_read_ends_publish_before_anything_is_stored(workshop: Workshop, tmp_path: Path) -> None:
    model = str(models.plain_tensors(tmp_path))
    assert "team.pub is not a private key in PEM" in (
        run("publish", model, "--name", NAME, "--sign", "keys/team.pub", code=1).stderr
    )
    assert not (workshop.root / "store").exists()


@pytest.mark.usefixtures("index")
def test_pin_prints_the_signer(workshop: Workshop) -> None:
    workshop.put(workshop.team)
    assert "signed by team.pub" in lines(run("pin", NAME).stdout)
    assert json.loads(run("pin", NAME, "--json").stdout)["signer"] == {
        "name": "team.pub",
        "key_id": workshop.team.key_id,
    }
