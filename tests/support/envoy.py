"""Envoy, the data plane of Istio and of many gateways: it routes as the manifests say, to servers of the tests.

Its endpoints and its route are in files that it watches, as a cluster's control plane would push them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from pilotlight_cli.local.process import free_port, tethered
from waiting import wait_until

_TYPE = "type.googleapis.com/envoy"
_VERSIONS = count(1)


@dataclass(frozen=True, slots=True)
class Rule:
    """Where requests with these headers go: shares of 100 by the name of a Service, and where a copy of each goes."""

    shares: Mapping[str, int]
    headers: Mapping[str, str]
    mirror: str = ""


def rules_of(route: Mapping[str, Any]) -> list[Rule]:
    """Return the rules of an HTTPRoute or of a VirtualService."""
    if route["kind"] == "HTTPRoute":
        return [
            Rule(
                {each["name"]: each.get("weight", 100) for each in rule["backendRefs"]},
                {each["name"]: each["value"] for match in rule.get("matches", ()) for each in match["headers"]},
            )
            for rule in route["spec"]["rules"]
        ]
    return [
        Rule(
            {each["destination"]["host"]: each.get("weight", 100) for each in rule["route"]},
            {name: value["exact"] for match in rule.get("match", ()) for name, value in match["headers"].items()},
            rule.get("mirror", {}).get("host", ""),
        )
        for rule in route["spec"]["http"]
    ]


class Envoy:
    """A running Envoy at `url`. Each reply names its Service in the header `x-service`."""

    def __init__(self, folder: Path, services: Sequence[str]) -> None:
        self._folder = folder
        self._services = services
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def route(self, rules: Sequence[Rule]) -> str:
        """Replace the route, and return what the replies that follow it have in the header `x-route`."""
        name = f"{next(_VERSIONS)}"
        host = {"name": "model", "domains": ["*"], "routes": [_route(rule) for rule in rules]}
        resource: dict[str, Any] = {
            "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
            "name": "route",
            "virtual_hosts": [host],
        }
        resource["response_headers_to_add"] = [{"header": {"key": "x-route", "value": name}}]
        self._write("route", resource)
        return name

    def wait_until_followed(self, route: str) -> None:
        """Return when requests follow a route."""

        def followed() -> bool:
            with suppress(requests.ConnectionError):  # it starts
                return requests.get(f"{self.url}/health", timeout=60).headers.get("x-route") == route
            return False

        wait_until(followed, limit=60)

    def endpoints(self, service: str, urls: Sequence[str]) -> None:
        """Replace the servers of a Service."""
        addresses = [urlsplit(url) for url in urls]
        members = [
            {"endpoint": {"address": {"socket_address": {"address": each.hostname, "port_value": each.port}}}}
            for each in addresses
        ]
        resource = {
            "@type": f"{_TYPE}.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": service,
            "endpoints": [{"lb_endpoints": members}],
        }
        self._write(service, resource)

    def _write(self, name: str, resource: Mapping[str, Any]) -> None:
        text = json.dumps({"version_info": str(next(_VERSIONS)), "resources": [resource]})
        new = self._folder / f"{name}.new"
        new.write_text(text)
        new.rename(self._folder / f"{name}.json")  # Envoy takes up what is moved into its folder

    def configuration(self) -> dict[str, Any]:
        """Return what Envoy starts with."""
        manager = {
            "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "model",
            "rds": {"route_config_name": "route", "config_source": self._source("route")},
            "http_filters": [
                {"name": "router", "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"}}
            ],
        }
        listener = {
            "name": "model",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": self.port}},
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        }
        clusters = [
            {
                "name": service,
                "type": "EDS",
                "connect_timeout": "10s",
                "eds_cluster_config": {"service_name": service, "eds_config": self._source(service)},
            }
            for service in self._services
        ]
        return {
            "node": {"id": "model", "cluster": "model"},
            "static_resources": {"listeners": [listener], "clusters": clusters},
        }

    def _source(self, name: str) -> dict[str, Any]:
        watched = {"path": str(self._folder / f"{name}.json"), "watched_directory": {"path": str(self._folder)}}
        return {"resource_api_version": "V3", "path_config_source": watched}


@contextmanager
def running(
    packages: Path, folder: Path, servers: Mapping[str, Sequence[str]], rules: Sequence[Rule]
) -> Iterator[Envoy]:
    """Run Envoy out of the packages of tools/kubernetes.txt; `servers` has the URLs behind each Service."""
    envoy = Envoy(folder, tuple(servers))
    for service, urls in servers.items():
        envoy.endpoints(service, urls)
    route = envoy.route(rules)
    file = folder / "envoy.json"
    file.write_text(json.dumps(envoy.configuration()))
    (program,) = packages.glob("envoy/_bin/envoy")
    options = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]
    command = tethered([str(program), "--config-path", str(file), *options])
    with (folder / "envoy.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            envoy.wait_until_followed(route)
            yield envoy
        finally:
            process.terminate()


def _route(rule: Rule) -> dict[str, Any]:
    matches = [{"name": name, "string_match": {"exact": value}} for name, value in rule.headers.items()]
    shares = [
        {"name": name, "weight": weight, "response_headers_to_add": [_header("x-service", name)]}
        for name, weight in rule.shares.items()
    ]
    action: dict[str, Any] = {"weighted_clusters": {"clusters": shares}, "timeout": "35s"}
    if rule.mirror:
        action["request_mirror_policies"] = [{"cluster": rule.mirror}]
    return {"match": {"prefix": "/", "headers": matches}, "route": action}


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}}
