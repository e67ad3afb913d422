"""What of a batch may be committed, whatever is written, refused or taken away."""

from __future__ import annotations

from kafka_batch import Batch
from kafka_records import Incoming
from pilotlight.records.decode import EventRecord
from properties import given, st


def incoming(partition: int, offset: int) -> Incoming:
    name = f"rows-{partition}-{offset}"
    return Incoming(name, ("rows", partition), offset, None, b"1", [], EventRecord(name, b"1"))


@given(st.data())
def test_no_offset_passes_a_record_that_is_not_written_or_a_partition_that_is_lost(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 8), min_size=1, max_size=4))
    batch = Batch([incoming(partition, 10 + n) for partition, count in enumerate(counts) for n in range(count)])
    written = [each for each in batch.incoming if data.draw(st.booleans())]
    lost = {("rows", partition) for partition in range(len(counts)) if data.draw(st.booleans())}
    for each in written:
        batch.mark_written(each)
    batch.drop(lost)

    offsets = batch.offsets()
    assert offsets.keys().isdisjoint(lost)
    for each in batch.incoming:
        if each.partition not in lost:
            before = [one for one in batch.incoming if one.partition == each.partition and one.offset <= each.offset]
            assert (offsets.get(each.partition, 0) > each.offset) == all(one in written for one in before)
