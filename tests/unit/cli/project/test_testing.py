"""pilotlight_cli.testing, in a project for Google Cloud alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pilotlight.errors import FormatError
from pilotlight.model.golden import Golden
from pilotlight_cli.local.verify import usual_cloud
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.testing import model_names, served
from repository import copied_project


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the sample's project that is not for AWS, as the current folder."""
    root = copied_project(tmp_path / "project").root
    settings = root / "pilotlight.toml"
    settings.write_text(settings.read_text().replace('"aws", "gcp"', '"gcp"'))
    monkeypatch.chdir(root)
    return root


def other_outputs(golden: Golden) -> Golden:
    """Return golden samples whose first label is another."""
    first, *others = golden.samples
    label, *rest = first.outputs
    return replace(golden, samples=(replace(first, outputs=(replace(label, data=("other",)), *rest)), *others))


def test_a_model_is_served_in_the_runtime_of_the_projects_cloud() -> None:
    with served() as api:
        assert api.get("/health/ready").status == 200
        path, body = api.example() or ("", {})
        assert api.post(path, body).document["prediction"] in ("benign", "malignant")
        assert api.golden_problems() == []
        (problem,) = replace(api, golden=other_outputs(api.golden)).golden_problems()
        assert problem.startswith("golden sample 1: the response differs from the published one")


def test_each_model_has_its_name(project: Path) -> None:
    assert model_names() == ["breast-cancer"]
    (project / "models/second").mkdir(parents=True)
    assert model_names() == ["breast-cancer", "second"]


def test_a_model_that_is_missing_or_not_pinned_is_an_error(project: Path) -> None:
    (project / "models/second").mkdir(parents=True)
    with pytest.raises(FormatError, match="pilotlight pin"), served("second"):
        pass
    with pytest.raises(ProjectUsageError, match="has no model 'third'"), served("third"):
        pass


@pytest.mark.parametrize(
    ("store", "clouds", "expected"),
    [
        ("file:///a", ("gcp",), "gcp"),
        ("file:///a", ("aws",), "aws"),
        ("s3://a", ("gcp", "aws"), "aws"),
        ("gs://a", ("aws", "gcp"), "gcp"),
    ],
)
def test_the_cloud_is_the_stores_or_the_projects(store: str, clouds: tuple[str, ...], expected: str) -> None:
    assert usual_cloud(store, clouds) == expected
