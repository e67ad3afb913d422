"""What the tests of a project use: its models, each served on this machine as a cloud would.

with served("tumours") as api:
    assert api.post("/predict", {"features": [...]}).document["prediction"] == "benign"
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pilotlight.codec.golden_requests import GoldenRequest, compare_samples
from pilotlight.model.golden import Golden
from pilotlight.model.lock import GOLDEN, Description, load_lock
from pilotlight_cli.local.client import Response, send
from pilotlight_cli.local.server import serving
from pilotlight_cli.local.verify import usual_cloud
from pilotlight_cli.project.events import Document, example_request
from pilotlight_cli.project.folders import find_project
from pilotlight_cli.registry.golden_file import golden_of
from pilotlight_cli.staging.sources import beside

__all__ = ["Api", "Response", "model_names", "served"]


@dataclass(frozen=True, slots=True)
class Api:
    """A model's HTTP API on this machine. A response has `status`, `body` and, if that is JSON, `document`."""

    url: str
    model: Description
    golden: Golden

    def get(self, path: str) -> Response:
        """GET a path, like /health/ready."""
        return send(self.url, path)

    def post(self, path: str, body: object) -> Response:
        """POST a JSON document to a path, like /predict."""
        return send(self.url, path, body)

    def example(self) -> tuple[str, Document] | None:
        """Return path and body of a request with the first golden sample; None if JSON cannot represent it."""
        return example_request(self.model.signature, self.golden)

    def golden_problems(self) -> list[str]:
        """Send the golden samples; return a message for each whose response differs from the published one."""
        compared = compare_samples(self.model, self.golden, self._answer)
        return [result.message for result in compared if result.problem]

    def _answer(self, request: GoldenRequest) -> tuple[int, object]:
        response = send(self.url, request.path, request.body, variant="control")
        return response.status, response.content


def model_names() -> list[str]:
    """Return the names of the project's models."""
    return [model.name for model in find_project().models()]


@contextmanager
def served(model: str = "", cloud: str = "") -> Iterator[Api]:
    """Serve a model of the project, by default the only one, in the runtime of a cloud, by default the project's.

    Raise MissingExtra without pilotlight[local], and the errors of `pilotlight serve`.
    """
    project = find_project()
    lock = project.model(model).lock
    pinned = load_lock(lock)
    golden = golden_of(pinned.model.signature, beside(lock, GOLDEN))
    with serving(cloud or usual_cloud(project.store, project.clouds), lock) as server:
        yield Api(server.url, pinned.model, golden)
