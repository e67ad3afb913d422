"""Prometheus and Alertmanager as Debian packages them, which `.ci/run` unpacks, with the files of deploy/compose."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.json_handler import JsonHandler
from pilotlight_cli.assets import ROOT
from pilotlight_cli.local.process import free_port, tethered
from waiting import wait_until

COMPOSE = ROOT / "deploy" / "compose"
WEBHOOK = "http://alerts.example.com/"  # what the user replaces

needs_prometheus = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("prometheus", "promtool", "prometheus-alertmanager", "amtool"))
    or not Path("/usr/share/prometheus/alertmanager").is_dir(),
    reason="NO PROMETHEUS HERE: its rules are not tested, and nothing is scraped (Debian's packages prometheus and "
    "prometheus-alertmanager)",
)


def checked(program: str, *arguments: str | Path) -> str:
    """Run promtool or amtool and return the output; fail with it."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that has started, by its URL."""

    url: str

    def query(self, expression: str) -> list[Mapping[str, Any]]:
        """Return the latest series of an expression; fail if it is malformed."""
        found = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=60).json()
        assert found["status"] == "success", found
        series: list[Mapping[str, Any]] = found["data"]["result"]
        return series

    def rules(self) -> list[Mapping[str, Any]]:
        """Return the rules of all groups, with what became of their evaluation."""
        groups = requests.get(f"{self.url}/api/v1/rules", timeout=60).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def alertmanagers(self) -> list[str]:
        """Return the URLs that alerts are sent to."""
        found = requests.get(f"{self.url}/api/v1/alertmanagers", timeout=60).json()["data"]["activeAlertmanagers"]
        return [each["url"] for each in found]


@contextmanager
def watching(folder: Path, target: str, webhook: str) -> Iterator[Prometheus]:
    """Watch the server at `target` with the files that we ship, without their waits; what rings goes to `webhook`."""
    own, alerts = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    changes = {"server:8080": target, "alertmanager:9093": alerts, "_interval: 15s": "_interval: 500ms"}
    adapted("prometheus/prometheus.yaml", folder, changes)
    rules = (COMPOSE / "prometheus/rules.yaml").read_text()
    (folder / "rules.yaml").write_text(re.sub(r"for: \d+m", "for: 0s", rules))
    adapted("alertmanager.yaml", folder, {WEBHOOK: webhook, "wait: 30s": "wait: 0s", "interval: 1m": "interval: 1s"})
    with ExitStack() as stack:
        options = ["--config.file=alertmanager.yaml", "--storage.path=alerts", "--cluster.listen-address="]
        stack.enter_context(_running(["prometheus-alertmanager", *options], alerts, folder))
        options = ["--config.file=prometheus.yaml", "--storage.tsdb.path=series"]
        stack.enter_context(_running(["prometheus", *options], own, folder))
        yield Prometheus(f"http://{own}")


@contextmanager
def receiving() -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Give the URL of a webhook, and the messages that it gets."""
    messages: list[Mapping[str, Any]] = []

    class Handler(JsonHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.reply(200, {})

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", messages
        server.shutdown()
        thread.join()


def adapted(name: str, folder: Path, changes: Mapping[str, str]) -> None:
    """Copy a file of deploy/compose into a folder, with changes that make tests faster or lead elsewhere."""
    text = (COMPOSE / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    (folder / Path(name).name).write_text(text)


@contextmanager
def _running(command: list[str], address: str, folder: Path) -> Iterator[None]:
    """Run a server of the Prometheus project in a folder, and wait until it is ready."""

    def is_ready() -> bool:
        assert process.poll() is None, (folder / f"{command[0]}.log").read_text()
        with suppress(requests.ConnectionError):
            return requests.get(f"http://{address}/-/ready", timeout=60).status_code == 200
        return False

    whole = tethered([*command, f"--web.listen-address={address}"])
    with (
        (folder / f"{command[0]}.log").open("w") as log,
        subprocess.Popen(whole, cwd=folder, stdout=log, stderr=log) as process,
    ):
        try:
            wait_until(is_ready, limit=60)
            yield
        finally:
            process.terminate()
