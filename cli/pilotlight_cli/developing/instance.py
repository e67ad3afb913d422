"""A running function with what is known of its model."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pilotlight.model.golden import Golden
from pilotlight.model.lock import GOLDEN, Description, load_lock
from pilotlight_cli.developing.code import Code
from pilotlight_cli.developing.subjects import Subject
from pilotlight_cli.local.front import forwarding, with_page
from pilotlight_cli.local.page import page
from pilotlight_cli.local.server import Server, serving
from pilotlight_cli.pinning.pin import REQUIREMENTS, check_requirements
from pilotlight_cli.registry.golden_file import golden_of
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.staging.sources import beside, check_companions

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_SECONDS = 60  # for a response, and for a start


@dataclass(slots=True)
class Instance:
    """A function that runs. `under_way` is the number of requests that it is answering; `close` ends it."""

    model: Description
    golden: Golden
    server: Server
    application: WSGIApplication
    resources: ExitStack
    under_way: int = 0

    @property
    def title(self) -> str:
        """The model's name and version."""
        return f"{self.model.name}:{self.model.version}"

    def close(self) -> None:
        """Stop the function and remove its files."""
        self.resources.close()


def start(code: Code, subject: Subject) -> Instance:
    """Start a fresh instance of what is being developed, and wait until it is ready.

    Raise what reading, inspecting or serving it raises; nothing is left running then.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="pilotlight-")))
        lock, store = subject.pin(folder)
        pinned = load_lock(lock)
        check_requirements(pinned, decode_text(beside(lock, REQUIREMENTS), REQUIREMENTS))
        check_companions(pinned, lock)
        golden = golden_of(pinned.model.signature, beside(lock, GOLDEN))
        document = page(pinned.model, golden)
        server = stack.enter_context(serving(code.cloud, lock, store, timeout=_SECONDS, code=code.folder()))
        application = with_page(forwarding(server.url, _SECONDS), lambda _: document)
        return Instance(pinned.model, golden, server, application, stack.pop_all())
