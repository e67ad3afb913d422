"""The compiled code of a function, kept as long as its sources stay the same."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pilotlight_cli.assets import CORE, FUNCTIONS
from pilotlight_cli.local.server import compile_code
from pilotlight_cli.regular_files import FileState, file_states
from pilotlight_cli.sandbox.isolation import temporary_folder


class Code:
    """The code of the function that predicts on a cloud."""

    def __init__(self, cloud: str) -> None:
        self.cloud = cloud
        self._states: Mapping[Path, FileState] = {}
        self._folder: Path | None = None

    def folder(self) -> Path:
        """Return a folder with the code of the present sources. Raise BuildError for invalid syntax."""
        states = file_states(file for folder in (CORE, FUNCTIONS) for file in folder.rglob("*.py"))
        if self._folder is None or states != self._states:
            self.close()
            self._folder = temporary_folder() / "function"
            try:
                compile_code(self.cloud, self._folder)
            except BaseException:
                self.close()
                raise
            self._states = states
        return self._folder

    def close(self) -> None:
        """Remove the files."""
        if self._folder is not None:
            shutil.rmtree(self._folder.parent, ignore_errors=True)
            self._folder = None
