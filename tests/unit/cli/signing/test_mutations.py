"""What was done to a signed version, in the store or in git, is refused with a sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest

from pilotlight.errors import PilotlightError
from pilotlight_cli import staging
from pilotlight_cli.local.verify import verify
from pilotlight_cli.signing.bundle import LARGEST, _encoded
from signed_versions import NAME, Workshop, write_keys

pytestmark = pytest.mark.usefixtures("index")


def in_bundle(change: Callable[[Any], object]) -> Callable[[Workshop], None]:
    """Change the bundle, which nobody signs anew."""

    def act(workshop: Workshop) -> None:
        document = json.loads((workshop.folder / "model.sig").read_bytes())
        change(document)
        (workshop.folder / "model.sig").write_text(json.dumps(document))

    return act


def in_statement(change: Callable[[Any], object]) -> Callable[[Workshop], None]:
    """Change the statement, and sign it with the right key: what a signer who means harm, or another tool, writes."""

    def act(workshop: Workshop) -> None:
        document = json.loads((workshop.folder / "model.sig").read_bytes())
        envelope = document["dsseEnvelope"]
        statement = json.loads(b64decode(envelope["payload"]))
        change(statement)
        payload = json.dumps(statement).encode()
        envelope["payload"] = b64encode(payload).decode()
        envelope["signatures"][0]["sig"] = b64encode(workshop.team.sign(_encoded(payload))).decode()
        (workshop.folder / "model.sig").write_text(json.dumps(document))

    return act


def renamed(name: str) -> Callable[[Workshop], None]:
    return in_statement(lambda statement: statement["predicate"]["resources"][3].update(name=name))


def written(name: str, content: bytes) -> Callable[[Workshop], object]:
    return lambda workshop: (workshop.folder / name).write_bytes(content)


def flipped(name: str) -> Callable[[Workshop], None]:
    """Change a byte in the middle of a file, or its end if that would leave no manifest to read."""

    def act(workshop: Workshop) -> None:
        content = bytearray((workshop.folder / name).read_bytes())
        content[-1] ^= 1 if name != "manifest.json" else ord("\n") ^ ord(" ")
        (workshop.folder / name).write_bytes(content)

    return act


def linked(workshop: Workshop) -> None:
    file = workshop.folder / "weights.bin"
    file.rename(workshop.root / "elsewhere.bin")
    file.symlink_to(workshop.root / "elsewhere.bin")


def linked_folder(workshop: Workshop) -> None:
    workshop.folder.rename(workshop.root / "elsewhere")
    workshop.folder.symlink_to(workshop.root / "elsewhere")


def replayed(workshop: Workshop) -> None:
    """Put the first version in the place of a second, under its number."""
    old = {path.name: path.read_bytes() for path in workshop.folder.iterdir()}
    workshop.put(workshop.team, weights=b"better")
    newest = workshop.folder.with_name("2")
    for name, content in old.items():
        (newest / name).write_bytes(content)
    shutil.rmtree(workshop.folder)
    newest.rename(workshop.folder)
    manifest = json.loads(old["manifest.json"])
    manifest["version"] = 2
    (workshop.folder / "manifest.json").write_text(json.dumps(manifest))
    workshop.folder.rename(newest)


def of_another_model(workshop: Workshop) -> None:
    workshop.put(workshop.team, name="rents", weights=b"rents")
    shutil.copy(workshop.root / "store/rents/1/model.sig", workshop.folder)


def of_another_manifest(workshop: Workshop) -> None:
    manifest = json.loads((workshop.folder / "manifest.json").read_bytes())
    manifest["extra_globals"] = ["os.system"]
    (workshop.folder / "manifest.json").write_text(json.dumps(manifest))


def by_a_stranger(workshop: Workshop) -> None:
    shutil.rmtree(workshop.folder)
    workshop.put(workshop.stranger)


def by_a_stranger_who_gives_himself_out_as_the_team(workshop: Workshop) -> None:
    by_a_stranger(workshop)
    in_bundle(lambda document: document["verificationMaterial"]["publicKey"].update(hint=workshop.team.key_id))(
        workshop
    )


# What is done to a signed version, and what `pin` says about it.
MUTATIONS: dict[str, tuple[Callable[[Workshop], object], str]] = {
    "a byte of the model": (flipped("model.onnx"), r"model\.onnx: found 5 bytes .* the stored file was altered"),
    "a byte of another file": (flipped("weights.bin"), r"weights\.bin: found 7 bytes .* the stored file was altered"),
    "a byte of the golden samples": (flipped("golden.json"), r"golden\.json: found .* the stored file was altered"),
    "a byte of the manifest": (flipped("manifest.json"), r"signs another manifest\.json: found SHA-256 .* expected"),
    "an extra file": (written("extra.bin", b"x"), r"breast-cancer/1 also has extra\.bin; expected the files"),
    "a missing file": (lambda made: (made.folder / "weights.bin").unlink(), r"1 lacks weights\.bin; expected"),
    "a missing signature": (lambda made: (made.folder / "model.sig").unlink(), r"not signed, .* team\.pub \(key"),
    "a file that is not signed": (
        in_statement(lambda statement: statement["predicate"]["resources"].pop()),
        r"payload: \$\.subject\[0\]\.digest\.sha256: expected [0-9a-f]{64}, the SHA-256 of the digests",
    ),
    "a name with ../": (renamed("../weights.bin"), r"it does not sign weights\.bin"),
    "an absolute name": (renamed("/etc/weights.bin"), r"it does not sign weights\.bin"),
    "a name twice": (renamed("model.onnx"), r"\$\.predicate\.resources: duplicate file name"),
    "a link to a file": (linked, r"weights\.bin is a symbolic link, expected a file"),
    "a link to a folder": (linked_folder, r"breast-cancer/1 is a symbolic link"),
    "another key": (by_a_stranger, r"is signed with the key [0-9a-f]{64}, expected team\.pub \(key"),
    "another key under this one's id": (
        by_a_stranger_who_gives_himself_out_as_the_team,
        r"model\.sig: the signature does not verify with team\.pub",
    ),
    "a replayed version": (replayed, r"is not the signature of breast-cancer:2: it signs another manifest\.json"),
    "another model's signature": (of_another_model, r"is not the signature of breast-cancer:1: it signs another"),
    "another manifest": (of_another_manifest, r"signs another manifest\.json"),
    "another media type": (
        in_bundle(lambda document: document.update(mediaType="application/json")),
        r"\$\.mediaType: expected one of application/vnd\.dev\.sigstore\.bundle\.v0\.3\+json, found",
    ),
    "another payload type": (
        in_bundle(lambda document: document["dsseEnvelope"].update(payloadType="text/plain")),
        r'payloadType: expected one of application/vnd\.in-toto\+json, found "text/plain"',
    ),
    "another statement type": (
        in_statement(lambda statement: statement.update(_type="https://in-toto.io/Statement/v0.1")),
        r"payload: \$\._type: expected one of https://in-toto\.io/Statement/v1",
    ),
    "another predicate type": (
        in_statement(lambda statement: statement.update(predicateType="https://model_signing/Digests/v0.1")),
        r"\$\.predicateType: expected one of https://model_signing/signature/v1\.0",
    ),
    "another digest algorithm": (
        in_statement(lambda statement: statement["predicate"]["resources"][0].update(algorithm="blake3")),
        r'resources\[0\]\.algorithm: expected one of sha256, found "blake3"',
    ),
    "digests of parts": (
        in_statement(lambda statement: statement["predicate"]["serialization"].update(method="shards")),
        r'serialization\.method: expected one of files, found "shards"',
    ),
    "no subject": (in_statement(lambda statement: statement.update(subject=[])), r"expected one subject, found 0"),
    "no resources": (
        in_statement(lambda statement: statement["predicate"].update(resources=[])),
        r"resources: expected at least 1 item",
    ),
    "a changed payload": (
        in_bundle(lambda document: document["dsseEnvelope"].update(payload=b64encode(b"{}").decode())),
        r"the signature does not verify with team\.pub",
    ),
    "a payload that is no base64": (
        in_bundle(lambda document: document["dsseEnvelope"].update(payload="*")),
        r'\$\.dsseEnvelope\.payload: expected text in base64, found "\*"',
    ),
    "no signatures": (
        in_bundle(lambda document: document["dsseEnvelope"].update(signatures=[])),
        r"signatures: expected one signature, found 0",
    ),
    "two signatures": (
        in_bundle(lambda document: document["dsseEnvelope"]["signatures"].append({"sig": "MA=="})),
        r"signatures: expected one signature, found 2",
    ),
    "a signature that is no DER": (
        in_bundle(lambda document: document["dsseEnvelope"]["signatures"][0].update(sig="MA==")),
        r"the signature does not verify with team\.pub",
    ),
    "a certificate": (
        in_bundle(lambda document: document.update(verificationMaterial={"certificate": {"rawBytes": "MA=="}})),
        r"expected publicKey, found a signature by a certificate or by Sigstore's identities",
    ),
    "a truncated bundle": (
        lambda made: (made.folder / "model.sig").write_bytes((made.folder / "model.sig").read_bytes()[:500]),
        r"model\.sig: \$: not valid JSON: .*; sign the version again",
    ),
    "a bundle that is no JSON": (written("model.sig", b"\x00\xff"), r"not valid JSON"),
    "a bundle that is no object": (written("model.sig", b"[]"), r"expected an object, found an array"),
    "a bundle that nests without end": (written("model.sig", b"[" * 100_000), r"not valid JSON"),
    "a large bundle": (written("model.sig", b" " * (LARGEST + 1)), r"1,000,001 bytes, expected .* at most 1,000,000"),
    "a huge bundle": (
        lambda made: os.truncate(made.folder / "model.sig", 100_000_001),
        r"model\.sig has more than 100,000,000 bytes",
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_was_done_to_a_signed_version_is_refused_with_a_sentence(mutation: str, workshop: Workshop) -> None:
    act, sentence = MUTATIONS[mutation]
    workshop.put(workshop.team)
    act(workshop)
    with pytest.raises(PilotlightError) as refused:
        workshop.pin(f"{NAME}:{workshop.newest}")
    assert re.search(sentence, str(refused.value)), str(refused.value)
    assert not workshop.lock.exists()


def edited(name: str, old: str, new: str) -> Callable[[Workshop], None]:
    def act(workshop: Workshop) -> None:
        text = (workshop.root / name).read_text()
        assert old in text
        (workshop.root / name).write_text(text.replace(old, new))

    return act


def other_signer(workshop: Workshop) -> None:
    document = json.loads(workshop.lock.read_bytes())
    document["signer"]["key_id"] = "0" * 64
    workshop.lock.write_text(json.dumps(document))


def unsigned_lock(workshop: Workshop) -> None:
    workshop.demand()
    workshop.pin()
    workshop.demand("keys/team.pub")


# What is done in git to the pin of a signed version, and what `build` and `verify` say about it.
IN_GIT: dict[str, tuple[Callable[[Workshop], object], str]] = {
    "a pin without a signer": (
        unsigned_lock,
        r"model\.lock has no signer, expected team\.pub .*'pilotlight pin breast",
    ),
    "no signature": (lambda made: (made.root / "model.sig").unlink(), r"model\.sig, which belongs to model\.lock"),
    "no manifest": (lambda made: (made.root / "manifest.json").unlink(), r"manifest\.json, which belongs to"),
    "another manifest": (edited("manifest.json", "weights.bin", "weights.dat"), r"does not sign weights\.dat"),
    "no manifest any more": (edited("manifest.json", "{", ""), r"manifest\.json: \$: not valid JSON.*'pilotlight pin"),
    "another version": (
        edited("model.lock", '"version": 1', '"version": 2'),
        r"differs from the signed manifest\.json",
    ),
    "other globals": (
        edited("model.lock", '"golden"', '"extra_globals": ["os.system"],\n  "golden"'),
        r"differs from the signed manifest\.json",
    ),
    "another signer in the lock": (
        other_signer,
        r"model\.lock has the signer team\.pub \(key 0{64}\), found team\.pub",
    ),
    "a signer who is not demanded any more": (
        lambda made: write_keys(made.root / "keys", "team"),
        r"is signed with the key [0-9a-f]{64}, expected team\.pub",
    ),
}


@pytest.mark.parametrize("change", IN_GIT)
def test_a_pin_that_is_not_of_a_signed_version_is_neither_built_nor_verified(change: str, workshop: Workshop) -> None:
    act, sentence = IN_GIT[change]
    workshop.put(workshop.team)
    workshop.pin()
    act(workshop)
    with pytest.raises(PilotlightError, match=sentence):
        staging.build("gcp", workshop.lock, workshop.root / "out", lambda _: None)
    assert not (workshop.root / "out").exists()
    (failed,) = [check for check in verify(workshop.lock, workshop.store.url).checks if not check.ok]
    assert failed.name == "model.sig"
    assert re.search(sentence, failed.detail)


def test_a_bundle_without_the_id_of_its_key_is_verified_with_each(workshop: Workshop) -> None:
    workshop.put(workshop.team)
    in_bundle(lambda document: document["verificationMaterial"]["publicKey"].clear())(workshop)
    assert workshop.pin().lock.signer


def test_fields_that_in_toto_may_add_are_not_minded(workshop: Workshop) -> None:
    workshop.put(workshop.team)
    in_statement(lambda statement: statement["predicate"].update(card="https://example.com"))(workshop)
    assert workshop.pin().lock.signer
