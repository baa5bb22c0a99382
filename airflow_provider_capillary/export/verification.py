"""Verifies one published object: compares it with its manifest, and with a new reading of the API. Writes nothing.

.. code-block:: python

    with open_verification(destination, log=log, killed=lambda: False) as verification:
        claims = verification.claims  # the interval and the filters of the object, for the reading
        verification.add_pages(pages)
        receipt = verification.finish(events_read=..., requests=..., proof=...)

A record that the API shows and the object lacks is *late* where the object is exactly what its manifest says: the export had proved then
that the API did not show the record, so it became visible after ``exported_at``. Where the object is not what its manifest says, nothing
tells whether the record came late or was lost afterwards, and it is *missing*. So one verification finds either late or missing records.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any, Final, TypedDict

from airflow_provider_capillary.errors import UnverifiableError
from airflow_provider_capillary.export.comparison import differences, paired, shares_of
from airflow_provider_capillary.export.filesystems import open_target
from airflow_provider_capillary.export.json_lines import pair_line
from airflow_provider_capillary.export.lost_records import MOST_ABSENT, lost_records
from airflow_provider_capillary.export.published_object import PublishedObject
from airflow_provider_capillary.export.spool import Spool
from airflow_provider_capillary.export.tempdir import open_tempdir
from airflow_provider_capillary.timestamps import format_timestamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.export.comparison import Entry, Kind
    from airflow_provider_capillary.export.destination import Destination
    from airflow_provider_capillary.export.published_object import Claims
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Verification", "VerificationReceipt", "open_verification", "summary"]

MOST_IDS: Final = 100
"""Ids in a receipt."""

_WORDS: Final = ("missing", "late", "surplus", "changed")


class VerificationReceipt(TypedDict):
    """What a verification found, fit for JSON; never anything from a record's body.

    Times are ISO 8601 in UTC with milliseconds, as in ``2025-09-18T00:00:00.000Z``.
    """

    path: str
    """The object's URI with the connection id."""
    uri: str
    """The same without the connection id."""
    manifest: str
    """The manifest's URI."""
    start: str
    end: str
    """The interval ``[start, end)`` of the object."""
    exported_at: str | None
    """By when the export had read; ``None`` where the API held no records at all."""
    is_equal: bool
    """Whether there is no difference of any kind."""
    events: int
    """Records in the object."""
    events_in_api: int
    """Records that the API shows now, after the object's filters, without erased ones."""
    missing_events: int
    """Records that the API shows and the object has lost, or may have lost: see :meth:`Verification.finish`."""
    late_events: int
    """Records that the API shows and the object lacks, and that the export had not written: visible only after ``exported_at``."""
    surplus_events: int
    """Records of the object that the API does not show."""
    changed_events: int
    """Records with one id on both sides, and with another time or content."""
    erased_events: int
    """Records that the API shows, and that were erased from the object on purpose; no difference."""
    ids: dict[str, list[str]]
    """Of each kind that was found, some ids; at most 100 in all."""
    manifest_differences: list[str]
    """In which of ``bytes``, ``sha256``, ``events`` and ``ids_sha256`` the object is not what its manifest says."""
    events_read: int
    """Records of the interval that the API returned, before the object's filters."""
    requests: int
    proof: dict[str, int | str] | None
    """What the completeness of the new reading rests on, as in an export's receipt."""


@contextlib.contextmanager
def open_verification(destination: Destination, *, log: logging.Logger, killed: Callable[[], bool]) -> Iterator[Verification]:
    """Find an object and its manifest, before anything is read from the API.

    The local temporary directory needs room for the object and for 1.2 times the records as JSON.

    :param killed: whether the task was killed; asked while this waits, up to a minute, for a run that may be just writing the object.
    :raises UnverifiableError: see there.
    :raises DestinationError: the filesystem, the connection, the bucket or the credential.
    :raises PublishError: the store can't be asked, or local disk can't be used.
    :raises ReadingStoppedError: the task was killed.
    """
    target = open_target(destination, log=log)
    with open_tempdir() as tempdir:
        published = PublishedObject(target, ending=destination.ending, tempdir=tempdir, log=log, killed=killed)
        yield Verification(published, tempdir=tempdir)


class Verification:
    """A verification under way; see :func:`open_verification`."""

    def __init__(self, published: PublishedObject, *, tempdir: TempDir) -> None:
        self._published = published
        self._tempdir = tempdir
        self._stopped = False
        self._erased_events = 0
        self._events = 0
        self._manifest_differences = list(published.differences)
        self._spool = Spool(tempdir, stop=self._is_stopped)

    @property
    def claims(self) -> Claims:
        """What the object stands for."""
        return self._published.claims

    def add_pages(self, pages: Iterable[EventLogs], *, redact: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None) -> None:
        """Take the records that the API shows now, in any order.

        :param redact: makes of each record what the export has written of it.
        :raises CapillaryError: as :meth:`.exporter.Export.add_all`.
        """
        for records in pages:
            if redact is None and not self._published.erased:
                self._spool.add_page(records)
            else:
                kept = self._without_erased(records)
                self._spool.add_all(kept if redact is None else map(redact, kept))

    def stop(self) -> None:
        """End the verification at its next step, from any thread: it raises :class:`ReadingStoppedError`."""
        self._stopped = True

    def finish(self, *, events_read: int, requests: int, proof: Mapping[str, Any] | None) -> VerificationReceipt:
        """Compare the records that were added with the object.

        A record that the object lacks is late where the manifest proves that the export had not written it: the object has the manifest's
        digest of ids, or has it together with all records that are missing (:func:`.lost_records.lost_records`). Where the manifest proves
        nothing, every such record counts as missing: it came late, or was lost from the object.

        :param events_read: how many records the API returned, before the filters.
        :raises UnverifiableError: the object is damaged, or a run has written it meanwhile.
        :raises PublishError: the store can't be asked, or local disk can't be used.
        :raises ReadingStoppedError: :meth:`stop` was called.
        """
        published = self._published
        try:
            counts, ids = self._compare()
        except UnverifiableError:
            published.require_unchanged()  # where the object was replaced between two steps, this says so
            raise
        published.require_unchanged()
        shares = zip(_WORDS, shares_of([counts[word] for word in _WORDS], MOST_IDS), strict=True)
        return VerificationReceipt(
            path=published.target.uri,
            uri=published.target.uri_without_connection,
            manifest=published.manifest_uri,
            start=format_timestamp(published.claims.start, timespec="milliseconds"),
            end=format_timestamp(published.claims.end, timespec="milliseconds"),
            exported_at=(self._exported.get("proof") or {}).get("shown_at"),
            is_equal=not self._manifest_differences and not any(counts.values()),
            events=self._events,
            events_in_api=self._spool.events,
            missing_events=counts["missing"],
            late_events=counts["late"],
            surplus_events=counts["surplus"],
            changed_events=counts["changed"],
            erased_events=self._erased_events,
            ids={word: ids[word][:share] for word, share in shares if share},
            manifest_differences=self._manifest_differences,
            events_read=events_read,
            requests=requests,
            proof=None if proof is None else dict(proof),
        )

    def _object_entries(self) -> Iterator[Entry]:
        """The entries of the object; once they are through, its counts have been compared with the manifest."""
        digest, events = hashlib.sha256(), 0
        for key, line in self._published.entries():
            events += 1
            digest.update(pair_line(*key))
            yield key, line
        self._events = events
        if self._exported.get("events") != events:
            self._manifest_differences.append("events")
        if self._published.manifest["ids_sha256"] != digest.hexdigest():
            self._manifest_differences.append("ids_sha256")

    def _compare(self) -> tuple[dict[str, int], dict[str, list[str]]]:
        """How many records are missing, late, surplus and changed, and the first ids of each."""
        counts: dict[str, int] = {"absent": 0, "surplus": 0, "changed": 0}
        ids: dict[str, list[str]] = {kind: [] for kind in counts}

        def note(kind: Kind, record_id: str) -> None:
            if len(ids[kind]) < MOST_IDS:
                ids[kind].append(record_id)

        # By id alone: a record whose time has changed is absent under one time and surplus under another.
        by_id = {kind: Spool(self._tempdir, stop=self._is_stopped) for kind in ("absent", "surplus")}
        absent: dict[str, int] = {}
        for kind, (start_time, record_id) in differences(self._spool.entries(), self._object_entries()):
            counts[kind] += 1
            if kind == "changed":
                note(kind, record_id)
            else:
                by_id[kind].add({"id": record_id, "startTime": 0})
                if kind == "absent" and len(absent) <= MOST_ABSENT:
                    absent[record_id] = start_time
        for (_, record_id), in_api, in_object in paired(by_id["absent"].entries(), by_id["surplus"].entries()):
            if in_api is not None and in_object is not None:
                counts = {"absent": counts["absent"] - 1, "surplus": counts["surplus"] - 1, "changed": counts["changed"] + 1}
                note("changed", record_id)
                absent.pop(record_id, None)
            else:
                note("absent" if in_object is None else "surplus", record_id)
        proves_late = "proof" in self._exported and "ids_sha256" not in self._manifest_differences
        word, other = ("late", "missing") if proves_late else ("missing", "late")
        counts |= {word: counts.pop("absent"), other: 0}
        ids |= {word: ids.pop("absent"), other: []}
        if counts["missing"] == len(absent) and (late := self._late_among(absent)):
            counts |= {"missing": len(absent) - len(late), "late": len(late)}
            ids |= {"missing": sorted(absent.keys() - late), "late": sorted(late)}
        return counts, ids

    def _late_among(self, absent: Mapping[str, int]) -> set[str]:
        """Which of the records that the object lacks its export had not written, where the object has lost others.

        :param absent: times by id.
        :return: nothing where the manifest does not prove it.
        """
        exported = self._exported.get("events")
        if "proof" not in self._exported or exported is None:
            return set()
        keys = sorted((start_time, record_id) for record_id, start_time in absent.items())
        in_object, ids_sha256 = self._published.keys(), self._published.manifest["ids_sha256"]
        lost = lost_records(keys, in_object, events=self._events, exported=exported, ids_sha256=ids_sha256)
        return set() if lost is None else {record_id for _, record_id in set(keys) - lost}

    @property
    def _exported(self) -> dict[str, Any]:
        """The receipt of the export."""
        receipt: dict[str, Any] = self._published.manifest["receipt"]
        return receipt

    def _without_erased(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for record in records:
            if record.get("id") in self._published.erased:
                self._erased_events += 1
            else:
                yield record

    def _is_stopped(self) -> bool:
        return self._stopped


def summary(receipt: VerificationReceipt) -> str:
    """What was found, in one line."""
    counts = [f"{count} {word}" for word in _WORDS if (count := receipt[f"{word}_events"])]  # type: ignore[literal-required]  # each is a field
    if receipt["manifest_differences"]:
        counts.append(f"not what its manifest says ({', '.join(receipt['manifest_differences'])})")
    return (
        f"{', '.join(counts) or 'no difference'}: {receipt['events']} event logs in the object, {receipt['events_in_api']} in the API, for "
        f"[{receipt['start']}, {receipt['end']}): {receipt['path']}"
    )
