"""An Airflow whose DAGs wait for failures at emulators, and how to tell how far each of them has come."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from live.airflow_processes import AIRFLOW, Airflow, free_port
from live.happenings import Api, Arrival, Story, arrivals_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SUBJECTS", "WATCHES", "Live", "Subject"]

T = TypeVar("T")
DAGS = Path(__file__).parent / "dags"
WATCHES = AIRFLOW >= (3, 3)
"""Whether this Airflow has what a watcher needs."""


@dataclass(frozen=True)
class Subject:
    """One way to wait, in the DAG of this name; all wait on one connection.

    :param waits: a query for the triggerers that run its triggers.
    :param stored: a query that gives a row where the database knows that a failure was found, by its id.
    """

    name: str
    waits: str = field(repr=False)
    stored: str = field(repr=False)


_SENSOR = Subject(
    name="sensor",
    waits="""SELECT trigger.triggerer_id FROM trigger JOIN task_instance ON task_instance.trigger_id = trigger.id
        WHERE task_instance.dag_id = 'sensor' AND task_instance.state = 'deferred'""",
    stored="""SELECT 1 FROM task_instance WHERE dag_id = 'sensor' AND instr(next_kwargs, ?1)
        UNION SELECT 1 FROM xcom WHERE dag_id = 'sensor' AND instr(value, ?1)""",
)
_WATCHER = Subject(
    name="watcher",
    waits="""SELECT trigger.triggerer_id FROM trigger JOIN asset_watcher ON asset_watcher.trigger_id = trigger.id
        JOIN asset ON asset.id = asset_watcher.asset_id JOIN asset_state_store ON asset_state_store.asset_id = asset.id
        WHERE asset.name = 'capillary_watcher'""",
    stored="SELECT 1 FROM asset_event WHERE instr(extra, ?1)",
)
SUBJECTS = [_SENSOR, _WATCHER] if WATCHES else [_SENSOR]


class Live:
    """Everything that runs: the emulators in this process, Airflow beside it."""

    def __init__(self, home: Path, *, database: Path) -> None:
        self.home = home
        self._database = database

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.apis = {name: Api(free_port()) for name in ("shared", "sensor_revoked", "watcher_revoked")}
            self.api = self.apis["shared"]
            self._asked = 0
            connections = {}
            for name, api in self.apis.items():
                stack.enter_context(api.emulator)
                connection = api.emulator.connection_json(requests_per_minute=6000)
                connections[f"AIRFLOW_CONN_CAPILLARY_{name.upper()}"] = connection
            self._noted = self.home / "arrivals.jsonl"
            environment = connections | {
                "CAPILLARY_LIVE_BEGUN": datetime.now(UTC).isoformat(),
                "CAPILLARY_LIVE_ARRIVALS": str(self._noted),
            }
            self.story = Story(self.api)
            self.airflow = stack.enter_context(Airflow(self.home, database=self._database, environment=environment))
            for path in DAGS.glob("*.py"):
                if path.name != "subscribe.py" or WATCHES:
                    shutil.copy(path, self.airflow.dags)
            for subject in SUBJECTS:
                self.until(self.waits, subject)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def arrivals(self) -> list[Arrival]:
        """What the tasks have noted."""
        return arrivals_of(self._noted)

    def until(self, condition: Callable[..., T], *arguments: object) -> T:
        """Wait until a condition holds, and return what it gave."""
        return self.airflow.until(condition, *arguments)

    def waits(self, subject: Subject) -> bool:
        """Whether the present triggerer has polled for a subject and still waits."""
        ((triggerer,),) = self.airflow.rows("SELECT max(id) FROM job WHERE job_type = 'TriggererJob'")
        where = {each for (each,) in self.airflow.rows(subject.waits)}
        return where == {triggerer} and bool(self.api.answers(after=self._asked))

    def restart_triggerer(self) -> None:
        """Start a triggerer in place of one that was killed."""
        self._asked = self.api.asked
        self.airflow.launch("triggerer")

    def state(self, dag_id: str, task_id: str = "wait") -> list[tuple[str | None, int]]:
        """State and number of the try of a task in each of its runs."""
        return self.airflow.rows("SELECT state, try_number FROM task_instance WHERE dag_id = ? AND task_id = ?", dag_id, task_id)

    def all_arrived(self) -> dict[str, dict[str, int]]:
        """Wait until everything that happened has arrived everywhere; return, for each subject, how often came what came again."""
        twice = {}
        for subject in SUBJECTS:
            self.until(lambda name=subject.name: not self.story.missing(name, self.arrivals))
            twice[subject.name] = self.story.twice(subject.name, self.arrivals)
        return twice

    def stored(self, subject: Subject, name: str) -> bool:
        """Whether the database holds that a failure was found."""
        return bool(self.airflow.rows(subject.stored, name))

    def arrived(self, subject: Subject, name: str) -> float | None:
        """When the task began to which a failure was delivered first."""
        return next((arrival.begun for arrival in self.arrivals if arrival.by == subject.name and name in arrival.ids), None)
