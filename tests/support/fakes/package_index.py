"""A package index (PEP 503) of made-up packages, so that uv resolves the same every day, and offline."""

from __future__ import annotations

import threading
import zipfile
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the overridden name
        """Nobody reads it."""


@dataclass(frozen=True)
class PackageIndex:
    """An index at `url` for the duration of a `with`; its packages are in `folder`."""

    folder: Path
    server: ThreadingHTTPServer

    @classmethod
    def at(cls, folder: Path) -> Self:
        folder.mkdir()
        return cls(folder, ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, name: str, version: str, *needs: str, python: str = ">=3.9", tag: str = "py3-none-any") -> None:
        """Write an empty wheel."""
        stem = f"{name.replace('-', '_')}-{version}"
        metadata = [f"Name: {name}", f"Version: {version}", f"Requires-Python: {python}"]
        metadata += [f"Requires-Dist: {need}" for need in needs]
        files = {
            "METADATA": "\n".join(["Metadata-Version: 2.1", *metadata, ""]),
            "WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
            "RECORD": "",
        }
        (self.folder / name).mkdir(exist_ok=True)
        with zipfile.ZipFile(self.folder / name / f"{stem}-{tag}.whl", "w") as wheel:
            for file, content in files.items():
                wheel.writestr(f"{stem}.dist-info/{file}", content)
