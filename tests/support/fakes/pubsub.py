"""A small Pub/Sub: topics, pull and push with retries and dead letters, by its REST API, in memory, on a free port.

It follows https://cloud.google.com/pubsub/docs: a push is acknowledged by 102, 200, 201, 202 or 204; others come again,
and after `maxDeliveryAttempts` go to the dead-letter topic with what Pub/Sub says about them. Publishing has Pub/Sub's
limits. Every retry comes at once.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64decode
from collections import deque
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from itertools import count
from typing import Any, Self

import requests

from fakes.json_handler import JsonHandler
from servers.gcs_objects import Refused

_ACKNOWLEDGED = (102, 200, 201, 202, 204)
_NAME = re.compile(r"projects/[^/]+/(topics|subscriptions)/[A-Za-z][\w.~+%-]{2,254}")


@dataclass
class Subscription:
    """A subscription as it was created, its messages with their deliveries, and what is pulled."""

    name: str
    settings: dict[str, Any]
    waiting: deque[tuple[dict[str, Any], int]] = field(default_factory=deque)
    leased: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)


class FakePubSub:
    """A server for the duration of a `with`, at `host`. `down` are topics that answer 503. `published` are by topic."""

    def __init__(self) -> None:
        self.published: dict[str, list[dict[str, Any]]] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.down: set[str] = set()
        self._ids = count(1_000_001)
        self._changed = threading.Condition()
        self._closing = False
        self._server = _Server(self)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.02,)),
            threading.Thread(target=self._push_all),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()

    def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the document of an answer. Raises Refused."""
        name, _, verb = path.removeprefix("/v1/").partition(":")
        if not _NAME.fullmatch(name):
            raise Refused(400, f"Invalid resource name given (name={name})")
        with self._changed:
            self._changed.notify_all()
            if method == "PUT":
                return self._create(name, body)
            known = self.published if "/topics/" in name else self.subscriptions
            if name not in known:
                raise Refused(404, f"Resource not found (resource={name.rpartition('/')[2]})")
            if verb == "publish":
                return self._publish(name, body["messages"])
            subscription = self.subscriptions[name]
            if verb == "acknowledge":
                for each in body["ackIds"]:
                    subscription.leased.pop(each, None)
                return {}
            return self._pull(subscription, body["maxMessages"])

    def _create(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if "/topics/" in name:
            self.published[name] = []
        else:
            self.subscriptions[name] = Subscription(name, body)
        return {"name": name, **body}

    def _publish(self, topic: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        if topic in self.down:
            raise Refused(503, "The service was unable to fulfill your request")
        _check(messages)
        made = []
        for each in messages:
            message = {**each, "messageId": str(next(self._ids)), "publishTime": "2026-12-02T10:00:00.123Z"}
            self.published[topic].append(message)
            for subscription in self.subscriptions.values():
                if subscription.settings["topic"] == topic:
                    subscription.waiting.append((message, 1))
            made.append(message["messageId"])
        return {"messageIds": made}

    def _pull(self, subscription: Subscription, most: int) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        while subscription.waiting and len(found) < most:
            message, attempt = subscription.waiting.popleft()
            subscription.leased[message["messageId"]] = message, attempt
            found.append({"ackId": message["messageId"], "message": message})
        return {"receivedMessages": found}

    def _push_all(self) -> None:
        """Push one message after the other until the server ends."""
        while True:
            with self._changed:
                pushing = [
                    each for each in self.subscriptions.values() if each.waiting and "pushConfig" in each.settings
                ]
                if self._closing:
                    return
                if not pushing:
                    self._changed.wait(1)
                    continue
                message, attempt = pushing[0].waiting.popleft()
            self._push(pushing[0], message, attempt)

    def _push(self, subscription: Subscription, message: dict[str, Any], attempt: int) -> None:
        endpoint = subscription.settings["pushConfig"]["pushEndpoint"]
        twice = {"message_id": message["messageId"], "publish_time": message["publishTime"]}
        body = {"message": {**message, **twice}, "subscription": subscription.name}
        status = requests.post(endpoint, json=body, timeout=60).status_code
        if status in _ACKNOWLEDGED:
            return
        policy = subscription.settings.get("deadLetterPolicy", {})
        with self._changed:
            if attempt < policy.get("maxDeliveryAttempts", 1 << 30):
                subscription.waiting.append((message, attempt + 1))
                return
            told = {
                "CloudPubSubDeadLetterSourceDeliveryCount": str(attempt),
                "CloudPubSubDeadLetterSourceSubscription": subscription.name.rpartition("/")[2],
                "CloudPubSubDeadLetterSourceSubscriptionProject": subscription.name.split("/")[1],
            }
            letter = {"data": message["data"], "attributes": message.get("attributes", {}) | told}
            self._publish(policy["deadLetterTopic"], [letter])


def _check(messages: list[dict[str, Any]]) -> None:
    """Refuse what https://cloud.google.com/pubsub/quotas#resource_limits rules out."""
    if not 1 <= len(messages) <= 1000 or len(json.dumps(messages)) > 10_000_000:
        raise Refused(400, "expected 1 to 1000 messages of at most 10 MB together")
    for message in messages:
        attributes = message.get("attributes", {})
        if not message.get("data") and not attributes:
            raise Refused(400, "expected data or attributes")
        b64decode(message.get("data", ""), validate=True)
        if len(attributes) > 100 or any(
            len(key) > 256 or len(value.encode()) > 1024 for key, value in attributes.items()
        ):
            raise Refused(400, "expected at most 100 attributes of 256 and 1024 bytes")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, pubsub: FakePubSub) -> None:
        self.pubsub = pubsub
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(JsonHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, document = 200, self.server.pubsub.call(self.command, self.path, body)
        except Refused as refused:
            status, document = refused.status, {"error": {"code": refused.status, "message": str(refused)}}
        self.reply(status, document)

    do_PUT = do_POST
