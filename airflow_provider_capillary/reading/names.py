"""Whether windows are asked for by ``event_name``. Answers to a name are shorter, so fewer are needed.

Nothing documents what an API makes of a name. It may look for it among the records that its ``limit`` lets through, or give fewer records
at once with a name. A short answer to a name would be no proof then. So a reading asks without the name, which is enough where one answer
holds all of the interval. After its first full answer it asks for the same window with the name that most of the answer's records have, but
not all. If the API looked among what the limit lets through, fewer records would have the name than fill an answer. So an answer that is as
long shows that it looks farther, and gives as many records at once with a name. From then on this reading and later ones ask with their own
name. Else the reading asks without, and the hook filters.
"""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.reading.bounds import MARGIN

if TYPE_CHECKING:
    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["NameFilter"]

CHANCE: Final = 0.001
"""A limit may let through other records each time. At most with this probability, all of them have the name that is tried."""
DEVIATIONS: Final = 3.0
"""Standard deviations by which more of the window's records may have a name than of those in one answer."""


class NameFilter:
    """Which ``event_name`` the windows of one reading are asked for with.

    :param event_name: the name that is looked for; ``None`` for all.
    """

    def __init__(self, client: EventLogsClient, event_name: str | None) -> None:
        self._client = client
        self._event_name = event_name
        self._is_tried = not event_name
        self._is_refused = False

    @property
    def asked(self) -> str | None:
        """The name to ask for; ``None`` to ask for all."""
        is_shown = self._client.capacity.records <= self._client.named_capacity
        return self._event_name if is_shown and not self._is_refused else None

    def try_on(self, dates: DateFormat, from_date: int, to_date: int, full: EventLogs) -> Flow[bool]:
        """Try a name; whether windows are asked for with the reading's own name from now on, and were not before.

        :param full: the records of the full answer to a window that was asked for without a name.
        """
        if self._is_tried or self.asked:
            return False
        counts = Counter(name for name in full.column("eventName") if isinstance(name, str) and name)
        names = [*(name for name, _ in counts.most_common()), self._event_name]
        name = next((name for name in names if name and _chance(counts[name], len(full)) < CHANCE), None)
        if name is None:
            return False
        self._is_tried = True
        client = self._client
        before = client.limit, client.capacity.records
        answer = yield from client.fetch_window_unless_refused(dates, from_date, to_date, event_name=name)
        if answer is not None and before == (client.limit, client.capacity.records):
            # Some rows may come twice, an API may find names like this one, or not read the dates beside a name.
            found = len(set(answer.records.named(name).within(from_date - MARGIN, to_date + MARGIN).ids))
            client.named_capacity = found if found == client.capacity.records else 0
        return self.asked is not None

    def give_up(self, asked: str | None) -> bool:
        """The API has refused a window. Whether to ask for it again without a name: the name may be the reason.

        :param asked: the name that the window was asked for with. Without one, the name was not the reason of a refusal before.
        """
        self._is_refused = asked is not None
        return self._is_refused


def _chance(count: int, size: int) -> float:
    """The probability that as many records of a window all have a name, where ``count`` of ``size`` have it."""
    most = count + DEVIATIONS * sqrt(count * (size - count) / size)
    return min(1.0, most / size) ** size
