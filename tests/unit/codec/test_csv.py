"""CSV of plain numbers, which is read in one pass."""

from __future__ import annotations

import tracemalloc

from doubles import FEATURES, service
from pilotlight.codec import csv
from properties import example, given, st
from unit.protocols.test_mlflow import CSV, post
from unit.protocols.test_v2 import by_sum

PIECES = st.sampled_from([*'0123456789+-.eE,\r\n" ', "1.5", "2,3,4\n", "depth,height,width\n", "\n\n", "\u0661", "nan"])


@given(
    st.lists(PIECES, max_size=30).map("".join), st.sampled_from(["height,width,depth\n", "depth,height,width\r\n", ""])
)
@example("1,2,3\r4,5,6\n", "height,width,depth\n")
@example("1,2,3\n4,5,1e999\n", "depth,height,width\n")
@example("1,2,3\n4,5,6,7\n", "height,width,height\n")
def test_csv_of_plain_numbers_is_read_as_any_other(text: str, head: str) -> None:
    body = (head + text).encode()
    quoted = (head.replace("height", '"height"') + text).encode()  # is read cell by cell
    plain, looked_at = (post(service(FEATURES, by_sum), sent, CSV)[1] for sent in (body, quoted))
    assert plain | {"request_id": ""} == looked_at | {"request_id": ""}


def test_csv_of_plain_numbers_takes_little_more_memory_than_its_body() -> None:
    body = b"height,width,depth\n" + b"1.25,-0.333333,1e-3\n" * 20_000
    tracemalloc.start()
    try:
        (tensor,) = csv.read(FEATURES, {"content-type": CSV}, body)
        assert tensor.shape == (20_000, 3)
        assert tracemalloc.get_traced_memory()[1] < 12 * len(body)
    finally:
        tracemalloc.stop()
