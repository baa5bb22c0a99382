"""What the operators share that are about the one object of a run's interval: its place, its interval, and the hook."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.export.placeholders import fill_placeholders
from airflow_provider_capillary.rendering import TemplatedArguments

if TYPE_CHECKING:
    import logging
    from datetime import datetime, timedelta

    import jinja2
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_capillary.export.interval import Interval
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

__all__ = ["ObjectOperator"]


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
    _interval: Interval | None = None
    _written: str | None = None
    """The destination with its templates rendered and its placeholders as the user wrote them; ``None`` until Airflow has rendered it."""

    @cached_property
    def hook(self) -> CapillaryHook:
        """The hook of this run."""
        from airflow_provider_capillary.hooks.capillary import CapillaryHook

        return CapillaryHook(self.capillary_conn_id)

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
