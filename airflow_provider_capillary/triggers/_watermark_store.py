"""Where a watch keeps what it has reported: in the state store of the asset that it watches, on Airflow 3.3 and later.

Each watch has a note of its own there, named by its connection, statuses and event name, so that several watches over one asset keep
theirs apart. Beside them stands the note of whichever wrote last: a watch that is new to the asset, because somebody has changed its
statuses, goes on from that one, and what happened between the last look of the old watch and the first of the new is not missed.

Of several watches over one asset, that may be the note of another one than was changed. What the changed one had found and Airflow had not
yet stored is then found again only as far as ``allowed_lateness`` goes back; watches that have an asset each have no such limit.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.polling.watermark import Watermark

if TYPE_CHECKING:
    from airflow_provider_capillary.polling.filters import EventFilter

__all__ = ["WatermarkStore"]

PREFIX: Final = "capillary_watch"


class WatermarkStore:
    """The notes of one watch.

    :param stores: what Airflow gives a trigger that watches assets; ``None`` where it watches none: then nothing outlives the process.
    :param conn_id: the connection that is watched.
    :param event_filter: what is watched for.
    :param asset_name: the asset to keep the notes with; ``None`` for all that the trigger watches.
    """

    def __init__(self, stores: Any, *, conn_id: str, event_filter: EventFilter, asset_name: str | None) -> None:  # noqa: ANN401  # Airflow 3.3's own
        self._stores = _stores_of(stores, asset_name)
        self._latest = f"{PREFIX}:{_digest(conn_id)}"
        self._own = f"{PREFIX}:{_digest(conn_id, event_filter.statuses_text, event_filter.event_name)}"

    @property
    def is_durable(self) -> bool:
        """Whether what is written outlives the process."""
        return bool(self._stores)

    async def read(self) -> Watermark | None:
        """What was written last; of several assets, the newest.

        :raises CapillaryError: the note is not what this package writes.
        """
        for key in (self._own, self._latest):
            notes = [note for store in self._stores if (note := await _get(store, key)) is not None]
            if notes:
                return max(map(Watermark.from_json, notes), key=lambda watermark: watermark.seen_until)
        return None

    async def write(self, watermark: Watermark) -> None:
        """Keep it, for this watch and for one that may take its place."""
        note = watermark.to_json()
        for store in self._stores:
            for key in (self._own, self._latest):
                await _set(store, key, note)


def _stores_of(stores: Any, asset_name: str | None) -> list[Any]:  # noqa: ANN401
    if asset_name is not None:
        from airflow.sdk.execution_time.context import AssetStateStoreAccessor

        return [AssetStateStoreAccessor(name=asset_name)]
    if stores is None:
        return []
    # Two assets whose watchers have equal arguments share one trigger, and nothing public lists them.
    several = [*getattr(stores, "_by_name", {}).values(), *getattr(stores, "_by_uri", {}).values()]
    return several or [stores]


async def _get(store: Any, key: str) -> object:  # noqa: ANN401
    if hasattr(store, "aget"):
        return await store.aget(key)
    from asgiref.sync import sync_to_async

    return await sync_to_async(store.get)(key)  # Airflow 3.3.0 and 3.3.1


async def _set(store: Any, key: str, note: str) -> None:  # noqa: ANN401
    if hasattr(store, "aset"):
        await store.aset(key, note)
        return
    from asgiref.sync import sync_to_async

    await sync_to_async(store.set)(key, note)


def _digest(*parts: str | None) -> str:
    return blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()
