"""Tells the records that an object has lost from those that became visible after its export, by the manifest's digest of ids. No I/O."""

from __future__ import annotations

import hashlib
import math
from itertools import combinations
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.export.json_lines import pair_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_capillary.export.runs import Key

__all__ = ["MOST_ABSENT", "lost_records"]

MOST_ABSENT: Final = 1000
"""Absent records with which a search begins; also the number of choices that it tries."""
_MOST_HASHED: Final = 100_000_000
"""Records to hash in all choices together, which takes some seconds."""
_CHUNK: Final = 2**16
"""Bytes."""


def lost_records(absent: Sequence[Key], in_object: Iterable[Key], *, events: int, exported: int, ids_sha256: str) -> frozenset[Key] | None:
    """Which of the records that an object lacks its export had written.

    Where nobody has added records to the object, it lacks ``exported - events`` of those that the export had written. The digest proves
    which: with these records, and no others, the object has the digest of its manifest. Each choice of so many is tried.

    :param absent: the keys of all records that the API shows and the object lacks, ascending.
    :param in_object: the keys of the object's records, ascending; not read where there is nothing to try.
    :param events: how many those are.
    :param exported: how many records the export had written, as the manifest says.
    :param ids_sha256: their digest, as the manifest says.
    :return: ``None`` where no choice has the digest, or there are too many to try.

    >>> digest = hashlib.sha256(pair_line(1, "a") + pair_line(2, "b")).hexdigest()
    >>> lost_records([(2, "b"), (3, "c")], [(1, "a")], events=1, exported=2, ids_sha256=digest)
    frozenset({(2, 'b')})
    """
    lost = exported - events
    if not 0 < lost <= len(absent) <= MOST_ABSENT or math.comb(len(absent), lost) > min(MOST_ABSENT, _MOST_HASHED // exported):
        return None
    choices = {choice: hashlib.sha256() for choice in combinations(range(len(absent)), lost)}
    position, chunk = 0, bytearray()

    def flush() -> None:
        for digest in choices.values():
            digest.update(chunk)
        chunk.clear()

    def add_absent(before: Key | None) -> None:
        nonlocal position
        while position < len(absent) and (before is None or absent[position] < before):
            flush()
            for choice, digest in choices.items():
                if position in choice:
                    digest.update(pair_line(*absent[position]))
            position += 1

    for key in in_object:
        add_absent(key)
        chunk += pair_line(*key)
        if len(chunk) >= _CHUNK:
            flush()
    add_absent(None)
    flush()
    return next((frozenset(absent[at] for at in choice) for choice, digest in choices.items() if digest.hexdigest() == ids_sha256), None)
