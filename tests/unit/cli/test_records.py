"""The lines of a log, as functions and the clouds' tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.errors import FormatError
from pilotlight_cli.records import read_lines

OWN = '{"event": "shadow", "rows": 1}'


def test_records_are_found_in_lines_of_a_function_of_cloudwatch_and_of_cloud_logging(tmp_path: Path) -> None:
    lines = [
        OWN,
        "2026-12-03T09:00:00Z stream " + OWN,
        '{"message": "{\\"event\\": \\"shadow\\", \\"rows\\": 2}", "timestamp": 1}',
        '{"jsonPayload": {"event": "shadow", "rows": 3}}',
        '{"message": "no record"}',
        "START RequestId: {broken",
        "[]",
        "\ufeff\x00\udcff",
    ]
    file = tmp_path / "log"
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    assert [line["rows"] for line in read_lines(file)] == [1, 1, 2, 3]


def test_a_file_of_lines_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot read the log lines in .*: Is a directory"):
        list(read_lines(tmp_path))
