"""Settings of the server."""

from __future__ import annotations

import pytest

from pilotlight.errors import SettingsError
from server_device import Device
from server_settings import ServerSettings, take_settings


def processor(_wanted: str) -> Device:
    return Device()


@pytest.mark.parametrize(
    ("given", "workers", "threads"),
    [
        ({}, 4, "1"),
        ({"PILOTLIGHT_SERVER_WORKERS": ""}, 4, "1"),
        ({"PILOTLIGHT_SERVER_WORKERS": "2"}, 2, "2"),
        ({"PILOTLIGHT_SERVER_WORKERS": "1"}, 1, "4"),
        ({"PILOTLIGHT_SERVER_WORKERS": "9"}, 9, "1"),
        ({"PILOTLIGHT_SERVER_WORKERS": "2", "PILOTLIGHT_THREADS": "3"}, 2, "3"),
        ({"PILOTLIGHT_THREADS": ""}, 4, "1"),
    ],
)
def test_workers_share_the_processors_unless_they_are_told_otherwise(
    given: dict[str, str], workers: int, threads: str
) -> None:
    environ = {**given, "HOME": "/"}
    assert take_settings(environ, 4, processor) == ServerSettings(
        "0.0.0.0",  # noqa: S104 - in a container
        8080,
        None,
        workers,
        1,
        0.002,
        Device(),
        "",
    )
    assert environ == {"HOME": "/", "PILOTLIGHT_THREADS": threads}  # the core knows none of the others


def test_each_setting_can_be_given() -> None:
    environ = {"PORT": "1", "PILOTLIGHT_SERVER_HOST": "::1", "PILOTLIGHT_SERVER_WORKERS": "3"}
    environ |= {"PILOTLIGHT_SERVER_BATCH": "64", "PILOTLIGHT_SERVER_WAIT_MS": "5", "PILOTLIGHT_SERVER_GRPC_PORT": "0"}
    environ |= {"PILOTLIGHT_SERVER_LOG_FILE": "/logs/a.log", "PILOTLIGHT_SERVER_DEVICE": "cpu"}
    expected = ServerSettings("::1", 1, 0, 3, 64, 0.005, Device("cpu"), "/logs/a.log")
    assert take_settings({**environ}, 1, Device) == expected
    environ |= {"PILOTLIGHT_SERVER_HTTP_PORT": "2"}  # as where PORT is that of gRPC
    assert take_settings(environ, 1, processor).port == 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PILOTLIGHT_SERVER_WORKERS", "0", "expected a whole number from 1 to 256, or nothing"),
        ("PILOTLIGHT_SERVER_WORKERS", "two", "expected a whole number from 1 to 256, or nothing"),
        ("PILOTLIGHT_SERVER_BATCH", "0", "expected a whole number from 1 to 1024"),
        ("PILOTLIGHT_SERVER_BATCH", "1025", "expected a whole number from 1 to 1024"),
        ("PILOTLIGHT_SERVER_WAIT_MS", "0.5", "expected a whole number from 1 to 1000"),
        ("PILOTLIGHT_SERVER_DEVICE", "gpu", "expected cpu or cuda, or nothing"),
        ("PILOTLIGHT_SERVER_HOST", "", "expected an address"),
        ("PILOTLIGHT_SERVER_HOSTS", "x", "unknown setting PILOTLIGHT_SERVER_HOSTS, expected one of"),
        ("PILOTLIGHT_SERVER_GRPC_PORT", "65536", "expected a port's number, or nothing"),
        ("PILOTLIGHT_SERVER_HTTP_PORT", "-1", "expected a port's number, or nothing"),
        ("PORT", "http", "PORT is 'http'; expected a port's number"),
        ("PORT", "70000", "PORT is '70000'; expected a port's number"),
    ],
)
def test_what_is_unknown_or_malformed_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        take_settings({name: value}, 1, processor)


def test_a_gpu_has_one_worker_since_no_fork_can_use_it() -> None:
    environ = {"PILOTLIGHT_SERVER_DEVICE": "cuda"}
    found = take_settings(environ, 4, Device)
    assert (found.device.is_gpu, found.workers, environ["PILOTLIGHT_THREADS"]) == (True, 1, "4")
    with pytest.raises(SettingsError, match="PILOTLIGHT_SERVER_WORKERS is 2; expected 1 on a GPU"):
        take_settings({"PILOTLIGHT_SERVER_DEVICE": "cuda", "PILOTLIGHT_SERVER_WORKERS": "2"}, 4, Device)
