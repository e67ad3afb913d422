"""A rolling update of the real image, by the manifest's own probes, pause and grace, behind Envoy.

Docker runs the containers; the little that is missing of a kubelet and of the controllers is here.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

import envoy
from containers import Container, docker, sample_image, sample_store
from envoy import Envoy, Rule
from manifests import by_kind, needs_kubectl
from pilotlight_cli.local.client import send
from repository import sample_request
from waiting import wait_until

pytestmark = needs_kubectl

SERVICE = "breast-cancer"
REPLICAS = 2
CLIENTS = 4
REQUESTS = 4000
LATE = 1.0  # seconds after which the end of a pod has reached everybody who sends requests


@dataclass(frozen=True)
class Pod:
    """A container as a Deployment's template describes it."""

    spec: Mapping[str, Any]
    container: Container

    @classmethod
    def start(cls, spec: Mapping[str, Any], image: str, environ: Mapping[str, str]) -> Pod:
        (described,) = spec["containers"]
        secure, limits = described["securityContext"], described["resources"]["limits"]
        sizes = {each["name"]: docker_size(each["emptyDir"]["sizeLimit"]) for each in spec["volumes"]}
        mounts = {each["mountPath"]: sizes[each["name"]] for each in described["volumeMounts"]}
        options = [
            f"--user={spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}",
            *(["--read-only"] if secure["readOnlyRootFilesystem"] else []),
            *(f"--cap-drop={each}" for each in secure["capabilities"]["drop"]),
            *([] if secure["allowPrivilegeEscalation"] else ["--security-opt=no-new-privileges"]),
            f"--cpus={limits['cpu']}",
            f"--memory={docker_size(limits['memory'])}",
            *(f"--tmpfs={path}:size={size}" for path, size in mounts.items()),
            *(f"--env={name}={value}" for name, value in environ.items()),
        ]
        return cls(spec, Container(docker("run", "--detach", *options, image).strip()))

    @property
    def url(self) -> str:
        (port,) = self.spec["containers"][0]["ports"]
        return f"http://{self.container.own_address}:{port['containerPort']}"

    def wait_for(self, name: str) -> None:
        """Return when a probe succeeds; fail when it has failed as often as the manifest allows."""
        probe = self.spec["containers"][0][name]
        for _ in range(probe["failureThreshold"]):
            if send(self.url, probe["httpGet"]["path"], seconds=probe["timeoutSeconds"]).status == 200:
                return
            time.sleep(probe["periodSeconds"])
        raise AssertionError(f"the {name} failed: {self.container.log}")

    def end(self) -> int:
        """Pause and end the container as a kubelet would, and return its exit code."""
        pause = self.spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        time.sleep(pause)
        return self.container.stop(self.spec["terminationGracePeriodSeconds"] - pause)


def docker_size(quantity: str) -> str:
    """Return a quantity of Kubernetes, in Mi, as Docker writes it."""
    return f"{int(quantity.removesuffix('Mi'))}m"


class Callers:
    """Clients that send the sample's request again and again, each over a connection that it keeps."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[tuple[int, bytes]] = Counter()
        self._port = port
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        path, document = sample_request()
        body = json.dumps(document).encode()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._ending.is_set():
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = response.status, response.read()
            self.answers[answer] += 1
        connection.close()


@dataclass
class Cluster:
    """A Deployment's controller and its Service: pods that are replaced one by one, and who they are told to."""

    deployment: Mapping[str, Any]
    image: str
    environ: Mapping[str, str]
    stack: ExitStack

    def start(self) -> Pod:
        """Start a pod, and return it when it is ready."""
        pod = Pod.start(self.deployment["template"]["spec"], self.image, self.environ)
        self.stack.callback(docker, "rm", "--force", "--volumes", pod.container.id)
        wait_until(lambda: bool(pod.container.own_address), limit=60)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            pod.wait_for(probe)
        return pod

    def replace(self, pods: list[Pod], proxy: Envoy) -> list[int]:
        """Replace all pods, with one more than there are to be and never one less. Return their exit codes."""
        assert self.deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        with ThreadPoolExecutor() as pool:
            ends = []
            for number, old in enumerate(pods):
                pods[number] = self.start()
                time.sleep(self.deployment["minReadySeconds"])
                proxy.endpoints(SERVICE, [each.url for each in (*pods, old)])
                ends.append(pool.submit(old.end))
                time.sleep(LATE)
                proxy.endpoints(SERVICE, [each.url for each in pods])
            return [each.result() for each in ends]


def test_no_request_fails_while_all_pods_are_replaced(packages: Path, tmp_path: Path) -> None:
    deployment = by_kind("overlays/prod")["Deployment"]["spec"]
    with ExitStack() as stack:
        built = stack.enter_context(sample_image(tmp_path, "server"))
        store = stack.enter_context(sample_store(built.address))
        cluster = Cluster(deployment, built.image, {"PILOTLIGHT_STORE": store.url, **store.environ}, stack)
        pods = [cluster.start() for _ in range(REPLICAS)]
        before = [pod.container.id for pod in pods]
        urls = {SERVICE: [pod.url for pod in pods]}
        proxy = stack.enter_context(envoy.running(packages, tmp_path, urls, [Rule({SERVICE: 100}, {})]))
        with Callers(proxy.port) as callers:
            exits = cluster.replace(pods, proxy)
            wait_until(lambda: callers.answers.total() >= REQUESTS, limit=300)

        assert set(exits) <= {0, 143}  # none was killed
        assert not set(before) & {pod.container.id for pod in pods}
        assert [status for status, _ in callers.answers] == [200]  # one answer, the same from all
