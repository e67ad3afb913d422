"""A request in two steps, so that a test knows when a function has it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPResponse


class Held:
    """A request that the function has begun to read: it said so, and waits for the body."""

    def __init__(self, port: int, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._body = body
        fields = {"Host": "x", "Content-Length": str(len(body)), **headers, "Expect": "100-continue"}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self.connection.sendall("\r\n".join(lines).encode())
        assert self.connection.recv(100).startswith(b"HTTP/1.1 100 ")

    def finish(self) -> tuple[int, bytes]:
        """Send the body; status and body of the answer. Closes the connection if the answer asks for that."""
        self.connection.sendall(self._body)
        with closing(HTTPResponse(self.connection)) as response:
            response.begin()
            content = response.read()
            if response.will_close:
                self.connection.close()
            return response.status, content
