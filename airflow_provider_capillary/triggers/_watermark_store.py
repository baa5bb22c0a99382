"""Where a watcher saves its watermark: in the state store of the asset that it watches. Airflow 3.3 and later.

Each watcher has an entry of its own there, named after its connection, statuses and event name, so that several watchers of one asset don't
overwrite one another's watermark. Beside them is an entry with the watermark that any of them saved last. A watcher that has no entry of
its own, because somebody changed its statuses, starts from that one. So it misses nothing between the last poll of the old watcher and its
own first poll.

Where several watchers share one asset, the watermark that was saved last may be another watcher's. What the old watcher had found and
Airflow had not yet stored is then found again only within ``allowed_lateness``. Watchers that have an asset each don't have this limit.

A third entry, ``capillary_watch_problem:`` with the connection's id, says in words why no watcher polls that connection. It is empty while
they do. Airflow shows the state of a watcher nowhere; this entry can be read by its REST API and by tasks.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary._airflow import read_asset_state, stores_of_watched_assets, write_asset_state
from airflow_provider_capillary.polling.watermark import Watermark

if TYPE_CHECKING:
    from airflow_provider_capillary.polling.filters import EventFilter

__all__ = ["WatermarkStore"]

PREFIX: Final = "capillary_watch"
PROBLEM_PREFIX: Final = "capillary_watch_problem"


class WatermarkStore:
    """The saved watermark of one watcher.

    :param stores: what Airflow gives a trigger that watches assets; ``None`` where it watches none, so that nothing is saved.
    :param conn_id: the connection that is polled.
    :param event_filter: which events are reported.
    :param asset_name: the asset to save the watermark with; ``None`` for every asset that the trigger watches.
    """

    def __init__(self, stores: Any, *, conn_id: str, event_filter: EventFilter, asset_name: str | None) -> None:  # noqa: ANN401  # Airflow's own
        self._stores = stores_of_watched_assets(stores, asset_name)
        self._problem_key = f"{PROBLEM_PREFIX}:{conn_id}"
        self._latest_key = f"{PREFIX}:{_digest(conn_id)}"
        self._own_key = f"{PREFIX}:{_digest(conn_id, event_filter.statuses_text, event_filter.event_name)}"

    @property
    def is_durable(self) -> bool:
        """Whether a saved watermark outlives the process."""
        return bool(self._stores)

    async def read(self) -> Watermark | None:
        """The watermark that this watcher saved last, else the one that any watcher of the asset saved last; ``None`` where there is none.

        :returns: the latest one where the trigger watches several assets.
        :raises CapillaryError: the stored text is not a watermark of this package.
        """
        for key in (self._own_key, self._latest_key):
            texts = [text for store in self._stores if (text := await read_asset_state(store, key)) is not None]
            if texts:
                return max(map(Watermark.from_json, texts), key=lambda watermark: watermark.seen_until)
        return None

    async def write(self, watermark: Watermark) -> None:
        """Save the watermark, for this watcher and for one that may replace it."""
        text = watermark.to_json()
        for store in self._stores:
            for key in (self._own_key, self._latest_key):
                await write_asset_state(store, key, text)

    async def write_problem(self, problem: str) -> None:
        """Write why the connection is not polled, for whoever asks Airflow about the asset; ``""`` once it is polled again."""
        for store in self._stores:
            if problem or await read_asset_state(store, self._problem_key):
                await write_asset_state(store, self._problem_key, problem)


def _digest(*parts: str | None) -> str:
    return blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()
