from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from container import ContainerError, build_image, find_docker, image_name
from repository import LOCK

# Stands for Docker's program: notes how it is asked to build, and keeps the secrets that it is given.
PROGRAM = """\
#!/bin/sh
[ "$1" = version ] && exit {engine}
[ "$*" = "build --help" ] && {{ echo "  --secret {buildkit}"; exit {help}; }}
for word; do
    echo "$word"
    case "$word" in
        id=*,src=*) name=${{word%%,*}}; /bin/cp "${{word#*src=}}" "{folder}/${{name#id=}}" ;;
    esac
done >"{folder}/asked"
echo "buildkit $DOCKER_BUILDKIT" >>"{folder}/asked"
echo "it went wrong here"
exit {code}
"""


@dataclass(frozen=True)
class Docker:
    """A folder with a program `docker`, and what it was asked."""

    folder: Path

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def secret(self, name: str) -> str | None:
        file = self.folder / name
        return file.read_text() if file.exists() else None


def docker(folder: Path, *, engine: int = 0, buildkit: bool = True, code: int = 0) -> Docker:
    folder.mkdir()
    words = {"engine": engine, "buildkit": "FILE", "help": 0 if buildkit else 1, "folder": folder, "code": code}
    program = folder / "docker"
    program.write_text(PROGRAM.format(**words))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Docker(folder)


def environ(*found: Docker, **others: str) -> Mapping[str, str]:
    return {"PATH": ":".join(str(each.folder) for each in found), **others}


def test_the_image_is_called_after_the_pinned_model() -> None:
    assert image_name(LOCK.parent) == "pilotlight-breast-cancer:1"


def test_without_docker_there_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="found no program docker"):
        find_docker({"PATH": str(tmp_path)})


def test_an_engine_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="engine does not answer"):
        find_docker(environ(docker(tmp_path / "bin", engine=1)))


def test_a_docker_without_buildkit_is_passed_over_for_one_that_has_it(tmp_path: Path) -> None:
    first, second = docker(tmp_path / "new", buildkit=False), docker(tmp_path / "old")

    assert find_docker(environ(first, second)) == str(second.folder / "docker")


def test_where_no_docker_has_buildkit_the_plugin_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="plugin buildx"):
        find_docker(environ(docker(tmp_path / "bin", buildkit=False)))


def test_a_package_is_built_with_buildkit_and_no_secret_where_pip_is_told_nothing(tmp_path: Path) -> None:
    found = docker(tmp_path / "bin")

    build_image("pilotlight-m:3", base="", environ=environ(found), package=tmp_path, capture=True)

    assert found.asked[0] == "build"
    assert found.asked[-2:] == [str(tmp_path), "buildkit 1"]
    assert "pilotlight-m:3" in found.asked
    assert "--label=org.opencontainers.image.version=3" in found.asked
    assert not any("--secret" in word or "BASE" in word for word in found.asked)


def test_another_base_is_an_argument_of_the_build(tmp_path: Path) -> None:
    found = docker(tmp_path / "bin")

    build_image("a:1", base="python:3.13@sha256:0", environ=environ(found), package=tmp_path, capture=True)

    assert "--build-arg=BASE=python:3.13@sha256:0" in found.asked


def test_an_index_and_certificates_go_in_as_secrets_and_not_as_arguments(tmp_path: Path) -> None:
    found = docker(tmp_path / "bin")
    certificates = tmp_path / "ca.pem"
    certificates.write_text("-----BEGIN")
    told = {"UV_DEFAULT_INDEX": "https://u:pass@index.example/simple", "SSL_CERT_FILE": str(certificates)}

    build_image("a:1", base="", environ=environ(found, **told), package=tmp_path, capture=True)

    assert found.secret("pip.conf") == "[global]\nindex-url = https://u:pass@index.example/simple\n"
    assert found.secret("certificates") == "-----BEGIN"
    assert not any("pass" in word for word in found.asked)


def test_pips_own_file_goes_in_as_it_is(tmp_path: Path) -> None:
    found = docker(tmp_path / "bin")
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://other.example\n")
    told = {"PIP_CONFIG_FILE": str(config), "PIP_INDEX_URL": "https://unused.example"}

    build_image("a:1", base="", environ=environ(found, **told), package=tmp_path, capture=True)

    assert found.secret("pip.conf") == config.read_text()


def test_a_build_that_fails_ends_with_dockers_own_words(tmp_path: Path) -> None:
    found = docker(tmp_path / "bin", code=2)

    with pytest.raises(ContainerError, match="(?s)exit code 2:.*it went wrong here"):
        build_image("a:1", base="", environ=environ(found), package=tmp_path, capture=True)
