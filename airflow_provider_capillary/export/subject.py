"""What an object stands for, and the refusal to replace one that stands for something else.

Two runs may write the same object only where they are for the same thing. It takes little for that to go wrong unseen: a path with the
day alone where a zone's clocks change (the runs of 30 and 31 March 2025 in Europe/London both begin on a 30th in UTC), mapped tasks with
one destination, an ``event_name`` that was changed under an archive.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.errors import DestinationConflictError
from airflow_provider_capillary.timestamps import from_millis, to_millis

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_provider_capillary.export.target import Target

__all__ = ["Subject", "conflict", "iso", "iso_of_millis", "removal"]


def iso(moment: datetime) -> str:
    """An aware datetime as receipt and manifest show it: ``2025-09-18T00:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_of_millis(millis: int) -> str:
    """Epoch milliseconds, shown alike."""
    return iso(from_millis(millis))


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a run is for, and its object stands for.

    :param start: aware; with ``end`` the interval ``[start, end)``.
    :param event_name: ``None`` for every one.
    :param statuses: in any order; ``None`` for all.
    :param capillary_conn_id: the connection whose event logs these are; ``None`` where nobody said.
    """

    start: datetime
    end: datetime
    event_name: str | None = None
    statuses: Collection[str] | None = None
    capillary_conn_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a manifest; equal for what is equal."""
        return {
            "start": iso(self.start),
            "end": iso(self.end),
            "event_name": self.event_name,
            "statuses": None if self.statuses is None else sorted(set(self.statuses)),
            "redact": None,
            "capillary_conn_id": self.capillary_conn_id,
        }

    def holds(self, start_time: int) -> bool:
        """Whether a record of that time, in epoch milliseconds, belongs to the interval."""
        return to_millis(self.start) <= start_time < to_millis(self.end)

    def differs_from(self, claims: Mapping[str, Any]) -> list[str]:
        """The names of what is said of an object and is not so of this run; what is not said is unknown, and no difference.

        :param claims: :meth:`to_dict` of the run that wrote it, or a part of that.
        """
        own = self.to_dict()
        return [name for name, value in claims.items() if name not in own or own[name] != value]


def conflict(
    target: Target, manifest: Target | None, subject: Subject, claims: Mapping[str, Any], *, shown: str | None = None
) -> DestinationConflictError:
    """The error for an object that stands for something else.

    :param manifest: the one beside the object, where there is one.
    :param claims: what is known of what the object stands for, as in :meth:`Subject.to_dict`.
    :param shown: the same in words, where they tell more.
    """
    own = subject.to_dict()
    differing = subject.differs_from(claims)
    # What both agree on tells nobody anything, but for the interval, which is how people name a run.
    told = [name for name in (*own, *claims) if name in ("start", "end") or name in differing]
    hint = (
        "use a path that differs from interval to interval, as with {interval_start:%Y-%m-%dT%H%M} in place of the day"
        if not {"start", "end"}.isdisjoint(differing)
        else "give each of them a path of its own"
    )
    return DestinationConflictError(
        f"{target.uri} stands for something else than what this run is for, and was not touched: "
        f"it stands for {shown or _shown(claims, told)}, this run is for {_shown(own, told)}",
        hint=f"{hint}; or, if the old object is not needed, {removal(target, manifest)}",
    )


def _shown(subject: Mapping[str, Any], names: Sequence[str]) -> str:
    others = dict.fromkeys(name for name in names if name not in ("start", "end"))
    return ", ".join([f"[{subject['start']}, {subject['end']})", *(f"{name}={subject.get(name)!r}" for name in others)])


def removal(target: Target, manifest: Target | None) -> str:
    """How to remove an object and its manifest by hand: the command of its store, or in words where this package knows none."""
    uris = [target.uri_without_connection, *([manifest.uri_without_connection] if manifest else [])]
    scheme = uris[0].partition("://")[0]
    if scheme == "file":
        return "remove it: rm -- " + " ".join(shlex.quote(uri.removeprefix("file://")) for uri in uris)
    if scheme in ("s3", "s3a", "s3n"):
        return "remove it: " + " && ".join(f"aws s3 rm {shlex.quote('s3://' + uri.partition('://')[2])}" for uri in uris)
    if scheme in ("gs", "gcs"):
        return "remove it: gcloud storage rm " + " ".join(shlex.quote("gs://" + uri.partition("://")[2]) for uri in uris)
    return "remove " + " and ".join(uris)
