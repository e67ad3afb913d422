"""The tags of a deployment: what model a stack serves, and the commit that deployed it.

CloudFormation passes a stack's tags on to all its resources that can have some.
"""

from __future__ import annotations

from pilotlight.model.lock import load_lock
from pilotlight_cli.project.folders import ModelFolder
from pilotlight_cli.project.git import working_commit

_PREFIX = "pilotlight:"


def release_tags(model: ModelFolder) -> dict[str, str]:
    """Return the tags model, version and commit; no commit outside of a git repository or before the first one."""
    pinned = load_lock(model.lock).model
    tags = {"model": pinned.name, "version": str(pinned.version)}
    commit = working_commit(model.root)
    if commit:
        tags["commit"] = commit
    return {f"{_PREFIX}{name}": value for name, value in tags.items()}
