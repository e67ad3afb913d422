"""Signed versions are published, signed later, copied, pinned and built; keys that cannot do it are refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import load_lock
from pilotlight_cli import staging
from pilotlight_cli.pinning.pin import pin
from pilotlight_cli.project.rollback import roll_back
from pilotlight_cli.registry.publish import VersionTaken, copy
from pilotlight_cli.signing import SignatureRefused
from pilotlight_cli.signing.bundle import _encoded, sign
from pilotlight_cli.signing.demanded import check_signer
from pilotlight_cli.signing.keys import read_private_key, read_public_key
from pilotlight_cli.signing.statement import write_statement
from pilotlight_cli.signing.stored import Signed, sign_stored, signers
from pilotlight_cli.stores import Store, open_store
from signed_versions import CURVES, NAME, Workshop, ed25519_key, koblitz_key, nothing, rsa_key, unasked, write_keys

pytestmark = pytest.mark.usefixtures("index")


def test_a_signed_version_is_pinned_with_its_signer_and_what_proves_it(workshop: Workshop) -> None:
    workshop.put(workshop.team)
    pinned = workshop.pin()

    assert pinned.lock.signer == read_public_key(workshop.root / "keys/team.pub").signer
    assert load_lock(workshop.lock) == pinned.lock
    for name in ("manifest.json", "model.sig"):
        assert (workshop.root / name).read_bytes() == (workshop.folder / name).read_bytes()
    assert check_signer(pinned.lock, workshop.lock) == pinned.lock.signer


def commit(workshop: Workshop, subject: str) -> None:
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    for arguments in (("init", "--quiet"), ("add", "."), (*settings, "commit", "--quiet", "--message", subject)):
        subprocess.run(["git", *arguments], cwd=workshop.root, check=True)


def test_rollback_restores_the_signature_of_the_pin_before(workshop: Workshop) -> None:
    for version, weights in ((1, b"weights"), (2, b"others")):
        workshop.put(workshop.team, weights=weights)
        workshop.pin(f"{NAME}:{version}")
        commit(workshop, f"Pin version {version}")

    rolled_back = roll_back(workshop.lock)

    assert rolled_back.after.model.version == 1
    assert (workshop.root / "model.sig").read_bytes() == (workshop.folder / "model.sig").read_bytes()
    assert check_signer(rolled_back.after, workshop.lock) == rolled_back.after.signer


def test_rollback_to_an_unsigned_pin_follows_what_the_project_demands(workshop: Workshop) -> None:
    workshop.demand()
    workshop.put(None)
    workshop.pin()
    commit(workshop, "Pin version 1")
    workshop.demand("keys/team.pub")
    workshop.put(workshop.team, weights=b"others")
    workshop.pin(f"{NAME}:2")
    commit(workshop, "Pin version 2")

    with pytest.raises(SignatureRefused, match=r"model\.lock has no signer, expected team\.pub"):
        roll_back(workshop.lock)
    assert load_lock(workshop.lock).model.version == 2

    workshop.demand()
    assert roll_back(workshop.lock).after.model.version == 1
    assert not (workshop.root / "model.sig").exists()
    assert not (workshop.root / "manifest.json").exists()


@pytest.mark.parametrize("kind", ["s3_store", "gcs_store"])
def test_a_bucket_keeps_signatures_like_a_folder(kind: str, workshop: Workshop, request: pytest.FixtureRequest) -> None:
    bucket: Store = request.getfixturevalue(kind)
    workshop.put(None)
    assert copy(workshop.store, bucket, NAME, 1, nothing)
    assert signers(bucket, NAME, [1], ()) == {}
    with pytest.raises(SignatureRefused, match="is not signed"):
        pin(bucket, NAME, workshop.lock)
    sign_stored(bucket, NAME, 1, partial(sign, key=workshop.team), nothing)
    assert pin(bucket, NAME, workshop.lock).lock.signer
    bucket.create(f"{NAME}/1/extra.bin", b"x")
    with pytest.raises(SignatureRefused, match=r"also has extra\.bin"):
        pin(bucket, NAME, workshop.lock)


def test_a_project_that_demands_nobody_pins_a_signed_version_as_any_other(workshop: Workshop) -> None:
    workshop.put(workshop.team)
    workshop.pin()
    workshop.demand()
    assert workshop.pin().lock.signer is None
    assert not {"manifest.json", "model.sig"} & {path.name for path in workshop.root.iterdir()}
    assert check_signer(load_lock(workshop.lock), workshop.lock) is None


def test_any_of_several_signers_will_do(workshop: Workshop, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "stranger.pub", workshop.root / "keys")
    workshop.demand("keys/team.pub", "keys/stranger.pub")
    workshop.put(workshop.stranger)
    signer = workshop.pin().lock.signer
    assert signer
    assert signer.name == "stranger.pub"


@pytest.mark.parametrize("curve", CURVES)
def test_each_curve_signs_and_verifies(curve: str, workshop: Workshop) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    private, _ = write_keys(workshop.root / "keys", "team", ec.generate_private_key(CURVES[curve]))
    workshop.put(read_private_key(private, unasked))
    assert workshop.pin().lock.signer


def test_a_published_version_is_signed_later_once(workshop: Workshop) -> None:
    workshop.put(None)
    with pytest.raises(SignatureRefused, match=r"breast-cancer:1 in file:.* is not signed, .*'pilotlight sign breast-"):
        workshop.pin()
    sign_stored(workshop.store, NAME, 1, partial(sign, key=workshop.team), nothing)
    assert workshop.pin().lock.signer
    with pytest.raises(SignatureRefused, match=r"signed already; .* delete file:.*/breast-cancer/1/model\.sig first"):
        sign_stored(workshop.store, NAME, 1, partial(sign, key=workshop.team), nothing)


def test_files_that_differ_from_the_manifest_are_not_signed(workshop: Workshop) -> None:
    workshop.put(None)
    (workshop.folder / "weights.bin").write_bytes(b"forged!")
    with pytest.raises(PilotlightError, match=r"weights\.bin: found 7 bytes .*, expected 7 bytes"):
        sign_stored(workshop.store, NAME, 1, partial(sign, key=workshop.team), nothing)
    assert not (workshop.folder / "model.sig").exists()


def test_a_copy_has_the_signature_that_the_source_got_later(workshop: Workshop, tmp_path: Path) -> None:
    target = open_store((tmp_path / "target").as_uri())
    workshop.put(None)
    assert copy(workshop.store, target, NAME, 1, nothing)
    assert not copy(workshop.store, target, NAME, 1, nothing)
    sign_stored(workshop.store, NAME, 1, partial(sign, key=workshop.team), nothing)
    assert copy(workshop.store, target, NAME, 1, nothing)
    assert not copy(workshop.store, target, NAME, 1, nothing)
    assert target.read(f"{NAME}/1/model.sig") == workshop.store.read(f"{NAME}/1/model.sig")
    assert pin(target, NAME, workshop.lock).lock.signer

    target.replace(f"{NAME}/1/model.sig", b"{}")
    with pytest.raises(VersionTaken, match=r"model\.sig differs from the file to be written"):
        copy(workshop.store, target, NAME, 1, nothing)
    with pytest.raises(SignatureRefused, match=r"model\.sig: .*the field 'mediaType' is missing"):
        copy(target, workshop.store, NAME, 1, nothing)


def test_who_signed_is_known_as_far_as_the_project_has_keys(workshop: Workshop) -> None:
    for key in (workshop.team, workshop.stranger, None):
        workshop.put(key)
    workshop.put(workshop.team)
    workshop.store.replace(f"{NAME}/4/model.sig", workshop.store.read(f"{NAME}/1/model.sig"))
    team = read_public_key(workshop.root / "keys/team.pub")

    found = signers(workshop.store, NAME, [1, 2, 3, 4], [team])
    assert found[1] == Signed(team.signer.key_id, "team.pub")
    assert found[2] == Signed(workshop.stranger.key_id)
    assert 3 not in found
    assert "is not the signature of breast-cancer:4" in found[4].problem


KEYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an RSA key": (
        lambda folder: write_keys(folder, "team", rsa_key()),
        r"team\.pub: found a key of the type RSA, which model signing does not have; expected an EC key .*'openssl",
    ),
    "an Ed25519 key": (
        lambda folder: write_keys(folder, "team", ed25519_key()),
        r"team\.pub: found a key of the type Ed25519",
    ),
    "another curve": (lambda folder: write_keys(folder, "team", koblitz_key()), r"on the curve secp256k1; expected"),
    "a private key": (
        lambda folder: (folder / "team.key").rename(folder / "team.pub"),
        r"team\.pub is a private key, expected a public one; .* keep the private key out of git",
    ),
    "no key": (lambda folder: (folder / "team.pub").write_text("team"), r"team\.pub is not a public key in PEM"),
    "no file": (lambda folder: (folder / "team.pub").unlink(), r"team\.pub cannot be read"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_a_signer_that_cannot_verify_is_refused_with_a_sentence(kind: str, workshop: Workshop) -> None:
    act, sentence = KEYS[kind]
    workshop.put(workshop.team)
    act(workshop.root / "keys")
    with pytest.raises(PilotlightError, match=sentence):
        workshop.pin()


@pytest.mark.parametrize(
    ("make", "kind"), [(rsa_key, "RSA"), (ed25519_key, "Ed25519")], ids=["an RSA key", "an Ed25519 key"]
)
def test_a_key_that_cannot_sign_is_refused_with_a_sentence(make: Callable[[], Any], kind: str, tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path, "other", make())
    with pytest.raises(SignatureRefused, match=rf"other\.key: found a key of the type {kind}, .* expected an EC key"):
        read_private_key(private, unasked)


def test_an_encrypted_key_signs_with_its_passphrase_only(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, "team", passphrase="correct")
    assert read_private_key(private, lambda: "correct").key_id == read_public_key(public).signer.key_id
    for wrong in ("", "wrong"):
        with pytest.raises(SignatureRefused, match=r"team\.key: the passphrase does not decrypt this key"):
            read_private_key(private, lambda given=wrong: given)  # type: ignore[misc]


def test_a_file_that_is_no_private_key_is_refused_with_a_sentence(tmp_path: Path) -> None:
    _, public = write_keys(tmp_path, "team")
    with pytest.raises(SignatureRefused, match=r"team\.pub is not a private key in PEM .*'openssl genpkey"):
        read_private_key(public, unasked)


@pytest.mark.parametrize(
    ("signers", "sentence"),
    [
        ('["../team.pub"]', r"signers\[0\]: expected a public key's file in the project, like keys/team\.pub"),
        ('["/etc/team.pub"]', r"signers\[0\]: expected a public key's file"),
        ("[]", r"signers: expected at least 1 item"),
        ('"keys/team.pub"', r"signers: expected an array"),
    ],
)
def test_signers_are_files_of_the_project(signers: str, sentence: str, workshop: Workshop) -> None:
    workshop.put(workshop.team)
    with (workshop.root / "pilotlight.toml").open("a") as file:
        workshop.demand()
        file.write(f"signers = {signers}\n")
    with pytest.raises(PilotlightError, match=sentence):
        workshop.pin()


def test_a_project_of_a_newer_release_is_not_taken_for_one_without_signers(workshop: Workshop) -> None:
    workshop.put(workshop.stranger)
    (workshop.root / ".pilotlight.json").write_text('{"format": 1, "release": "999.0.0", "ci": "none", "files": {}}')
    with pytest.raises(PilotlightError, match="is a project of Pilotlight 999"):
        workshop.pin()


def test_a_package_has_the_lock_with_its_signer_and_no_signature(workshop: Workshop) -> None:
    workshop.put(workshop.team)
    workshop.pin()
    package = staging.build("gcp", workshop.lock, workshop.root / "out", lambda _: None)
    assert load_lock(package.folder / "model.lock").signer
    assert not {"manifest.json", "model.sig"} & {path.name for path in package.folder.iterdir()}


def test_the_encoding_is_that_of_dsse() -> None:
    # https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, with the type that model signing has.
    assert _encoded(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_a_statement_lists_the_files_in_the_order_of_their_names() -> None:
    statement = json.loads(write_statement("tumours:1", {"b": "00" * 32, "a": "11" * 32}))
    assert [resource["name"] for resource in statement["predicate"]["resources"]] == ["a", "b"]
