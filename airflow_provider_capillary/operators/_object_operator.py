"""What the operators share that are about the one object of a run's interval: its place, its interval, and the hook."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.export.placeholders import fill_placeholders
from airflow_provider_capillary.rendering import TemplatedArguments

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    import jinja2
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_capillary.export.interval import Interval
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

__all__ = ["ObjectOperator"]


class _Stoppable(Protocol):
    """An export or a verification under way."""

    def stop(self) -> None:
        """End it at its next step, from any thread."""


class ObjectOperator(TemplatedArguments):
    """A base class for operators with a ``destination``, which has to be the last of their ``template_fields``.

    Itself no ``BaseOperator``: Airflow would give it an ``__init__``, and take the defaults of mapped tasks from that (``inlets=None``).
    """

    destination: ObjectStoragePath | str
    path_timezone: str
    start: datetime | str | None
    end: datetime | str | None
    lookback: timedelta | None
    partition_duration: timedelta | None
    object_storage_conn_id: str | None
    capillary_conn_id: str

    _killed = False
    _running: _Stoppable | None = None
    _receipt: Mapping[str, Any] | None = None
    """What the run found out, once it has; for the link to the object and for OpenLineage."""
    _api_url: str | None = None
    """``None`` until the connection was found."""
    _interval: Interval | None = None
    _written: str | None = None
    """The destination with its templates rendered and its placeholders as the user wrote them; ``None`` until Airflow has rendered it."""

    @cached_property
    def hook(self) -> CapillaryHook:
        """The hook of this run."""
        from airflow_provider_capillary.hooks.capillary import CapillaryHook

        return CapillaryHook(self.capillary_conn_id)

    def on_kill(self) -> None:
        """Stop reading at once, and publish nothing any more.

        Airflow 3 gives a killed task about five seconds, then ends it without any exception.
        """
        self._killed = True
        self.hook.stop()
        if self._running is not None:
            self._running.stop()

    def _begin(self) -> None:
        """Forget an earlier execution of this task object, and raise what was noted while its templates were rendered.

        A task object may be executed twice in one process, as in a user's tests; each execution has its own hook.
        """
        self.__dict__.pop("hook", None)
        self._receipt = self._api_url = None
        self.raise_template_errors()

    def _connect(self) -> str:
        """Look up the connection of the API, and return the URL of the event logs."""
        from airflow_provider_capillary.api.executor import LOGS_PATH

        self._api_url = f"{self.hook.settings.base_url}{LOGS_PATH}"
        return self._api_url

    @property
    def _logger(self) -> logging.Logger:
        return cast("logging.Logger", self.log)  # Airflow 3 declares a protocol, and gives one of these

    def render_template(
        self,
        content: Any,  # noqa: ANN401  # as in Airflow
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:  # noqa: ANN401
        """As in every operator; the destination's placeholders are filled in as well, so that Airflow shows the final path."""
        rendered = super().render_template(content, context, jinja_env, seen_oids)
        if content is self.destination:
            self._written = str(rendered)
            # An error here would not be an error of the task. `execute` raises it.
            with suppress(CapillaryError):
                self._interval = self._resolve_interval(context)
                return fill_placeholders(rendered, self._interval, self.path_timezone)
        return rendered

    def _resolve_interval(self, context: Context) -> Interval:
        from airflow_provider_capillary.export.interval import resolve_interval

        return resolve_interval(
            context,
            start=self.start,
            end=self.end,
            lookback=self.lookback,
            partition_duration=self.partition_duration,
        )
