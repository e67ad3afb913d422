"""The calls of gcloud to Cloud Logging and Cloud Monitoring that make and change metrics and alert policies."""

from __future__ import annotations

import json
import threading
from http.server import ThreadingHTTPServer
from typing import Any, Self

from fakes.json_handler import JsonHandler


class MonitoringApi:
    """A server for the duration of a `with`, at `url`. `written` has the methods that changed something."""

    def __init__(self) -> None:
        self.metrics: dict[str, Any] = {}
        self.policies: list[Any] = []
        self.written: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def read(self, path: str) -> object | None:
        name = path.rpartition("/")[2]
        if name == "metrics":
            return {"metrics": list(self.metrics.values())}
        if name == "alertPolicies":
            return {"alertPolicies": self.policies}
        return self.metrics.get(name) or next((one for one in self.policies if one["name"].endswith(name)), None)

    def write(self, method: str, path: str, document: Any) -> object:
        self.written.append(method)
        if "alertPolicies" in path:
            document = {**document, "name": "projects/mine/alertPolicies/1"}
            self.policies = [document]
        else:
            self.metrics[document["name"]] = document
        return document


class _Server(ThreadingHTTPServer):
    api: MonitoringApi


class _Handler(JsonHandler):
    server: _Server

    def do_GET(self) -> None:
        self._reply(self.server.api.read(self.path.partition("?")[0]))

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._reply(self.server.api.write(self.command, self.path.partition("?")[0], document))

    do_PUT = do_PATCH = do_POST

    def _reply(self, document: object | None) -> None:
        self.reply(200 if document else 404, document or {"error": {"code": 404, "message": "none"}})
