"""Whether windows are asked for by ``event_name``. Answers to a name are shorter, so fewer are needed.

Nothing documents what an API makes of a name. It may look for it among the records that ``limit`` has left over, or give fewer records at
once with a name. A short answer to a name would be no proof then. So a reading asks without the name, which is enough where one answer
holds all of the interval. After its first full answer it asks for the same window with the name that most of the answer's records have, but
not all. Where the limit had left these records over, fewer of them would have the name than fill an answer. So an answer that is as long
shows that the API looks for names in the whole window, and gives as many records at once. (Or that it does not read names; its answers hold
all names then.) The reading goes on with its own name, and so do the later ones. Else it goes on without.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["NameFilter"]

MOST_ALIKE: Final = 0.9
"""Share of a full answer. Where more of its records have one name, all of what the limit leaves over the next time may have it."""


class NameFilter:
    """Which ``event_name`` the windows of one reading are asked for with.

    :param event_name: the name that is looked for; ``None`` for all.
    """

    def __init__(self, client: EventLogsClient, event_name: str | None) -> None:
        self._client = client
        self._event_name = event_name
        self._is_tried = event_name is None

    @property
    def asked(self) -> str | None:
        """The name to ask for; ``None`` to ask for all."""
        return self._event_name if self._client.looks_for_names else None

    def begins(self, dates: DateFormat, from_date: int, to_date: int, full: EventLogs) -> Flow[bool]:
        """Whether windows are asked for with the name from now on, and were not before.

        :param full: the records of the full answer to a window that was asked for without a name.
        """
        if self._is_tried or self._client.looks_for_names:
            return False
        self._is_tried = True
        names = Counter(name for name in full.column("eventName") if isinstance(name, str) and name)
        name = next((name for name, count in names.most_common() if count <= MOST_ALIKE * len(full)), None)
        if name is None:
            return False
        answer = yield from self._client.fetch_window_unless_refused(dates, from_date, to_date, event_name=name)
        if answer is not None:
            self._client.looks_for_names = len(set(answer.records.ids)) >= self._client.capacity.records
        return self._client.looks_for_names
