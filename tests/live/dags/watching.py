"""Watchers, for Airflow 3.3 and later. Each run notes the events that started it, and when it began."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_capillary.triggers.capillary import CapillaryEventWatchTrigger

BEGUN = datetime.fromisoformat(os.environ["CAPILLARY_LIVE_BEGUN"])


@task
def note(triggering_asset_events=None, dag_run=None) -> None:
    """Add a line to the file of arrivals for each event."""
    begun = time.time()
    with open(os.environ["CAPILLARY_LIVE_ARRIVALS"], "a") as arrivals:  # noqa: PTH123
        for events in triggering_asset_events.values():
            for event in events:
                found = event.extra["payload"]
                line = {"by": dag_run.dag_id, "run": dag_run.run_id, "ids": found["ids"], "count": found["count"], "begun": begun}
                arrivals.write(json.dumps(line) + "\n")


def subscribe(dag_id: str, **options: object) -> None:
    """Make a DAG that a watcher starts."""
    trigger = CapillaryEventWatchTrigger(poke_interval=2, **options)
    failures = Asset(f"capillary_{dag_id}", uri=f"capillary://live/{dag_id}", watchers=[AssetWatcher(name="failures", trigger=trigger)])
    with DAG(dag_id=dag_id, schedule=[failures], start_date=BEGUN, is_paused_upon_creation=False):
        note()


subscribe("watcher", statuses=["EMF_PROCESSOR_FAILED", "NO_STATUS"], capillary_conn_id="capillary_shared")
# What it waits for never happens.
subscribe("watcher_of_others", statuses=["INVALID_GROUP_IDENTIFIER_PASSED"], capillary_conn_id="capillary_shared")
subscribe("watcher_revoked", capillary_conn_id="capillary_watcher_revoked")
