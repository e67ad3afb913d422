"""A batch of records on its way: what of it is written, what a rebalance took away, and what may be committed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kafka_records import Incoming, Partition


class Batch:
    """Records that were read and are not committed, in the order of the offsets of each partition."""

    def __init__(self, incoming: Sequence[Incoming]) -> None:
        self.incoming = incoming
        self._written: set[str] = set()
        self._dropped: set[Partition] = set()

    @property
    def kept(self) -> list[Incoming]:
        """The records whose partitions are still assigned."""
        return [each for each in self.incoming if self.is_kept(each)]

    def is_kept(self, incoming: Incoming) -> bool:
        """Whether a record's partition is still assigned. One that came back since is read again from its commit."""
        return incoming.partition not in self._dropped

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget the records of partitions that another consumer gets."""
        self._dropped.update(partitions)

    def mark_written(self, incoming: Incoming) -> None:
        """Remember that what was to be written for a record is acknowledged."""
        self._written.add(incoming.id)

    def offsets(self) -> dict[Partition, int]:
        """Return for each assigned partition the offset to commit: the first record that is not written, or the end."""
        offsets: dict[Partition, int] = {}
        stopped: set[Partition] = set()
        for each in self.kept:
            if each.id not in self._written:
                stopped.add(each.partition)
            elif each.partition not in stopped:
                offsets[each.partition] = each.offset + 1
        return offsets
