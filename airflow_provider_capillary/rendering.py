"""Checks of the templated arguments of operator and sensor, made while Airflow renders them.

Three things go wrong in templates. Jinja writes ``None`` as the text "None", which is a valid event name, connection id and folder. Native
rendering turns an event name such as 123 into a number. And a name that some runs lack (on Airflow 3 ``data_interval_start``, in a run
without a logical date) raises an error of Jinja's, after which Airflow retries the task in vain. Each is noted while the template is
rendered, and raised when the task checks its arguments, as an error that names the parameter and how to fix it.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import ConfigurationError, IntervalError
from airflow_provider_capillary.validation import is_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    _Rendering = BaseOperator
else:
    _Rendering = object

__all__ = ["TemplatedArguments"]

_WORD: Final = re.compile(r"(?<![^\s/=_.,;:&?~-])None(?![^\s/=_.,;:&?~-])")
"""``None`` by itself, or as a whole part of a path or a name: ``dt=None/``, ``failures_None.jsonl``; not ``NoneSuch``."""

_NOT_IN_EVERY_RUN: Final = frozenset(
    {
        # Absent on Airflow 3 where a run has no logical date: triggered by hand, by an asset, or of a partition.
        *("logical_date", "data_interval_start", "data_interval_end", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"),
        *("prev_data_interval_start_success", "prev_data_interval_end_success"),
        # Names of Airflow 2 only.
        *("execution_date", "prev_execution_date", "next_execution_date", "yesterday_ds", "tomorrow_ds", "prev_ds", "next_ds"),
        *("yesterday_ds_nodash", "tomorrow_ds_nodash", "prev_ds_nodash", "next_ds_nodash"),
    }
)
_NO_TEXT: Final = (int, float, complex, bytes, tuple, list, set, dict)
"""Types that native rendering makes of text that looks like Python: a number of ``123``, a bool of ``True``."""

_WITH_A_DATE: Final = "start the run with a date, `airflow dags trigger --logical-date 2025-09-18T00:00:00Z ...`"
_HINTS_FOR_A_MISSING_NAME: Final = {
    "destination": "write {interval_start:%Y-%m-%d} instead, the start of the exported interval, which every run has",
    "start": f"leave out `start` and `end`, so that the run's own interval or `lookback` applies, or {_WITH_A_DATE}",
    "end": f"leave out `start` and `end`, so that the run's own interval or `lookback` applies, or {_WITH_A_DATE}",
    "since": f"leave out `since`, write {{{{ dag_run.run_after }}}}, or {_WITH_A_DATE}",
}
_HINTS_FOR_NONE: Final = {
    "destination": "give it a value in every run, as in {{ ... or 'all' }}",
    "capillary_conn_id": "give it a value in every run, as in {{ ... or 'capillary_default' }}",
    "statuses": "write {{ ... | tojson }} for a list, or end the template with `or ''`, which leaves the parameter out: {{ ... or '' }}",
}
_HINT_FOR_NONE: Final = "end the template with `or ''`, which leaves the parameter out: {{ ... or '' }}"


class TemplatedArguments(_Rendering):
    """A base class for operators: checks templated arguments while Airflow renders them."""

    # Replaced, never changed in place: the runs of a task are shallow copies of it.
    _template_errors: Mapping[str, ConfigurationError] = MappingProxyType({})

    def _assign(self, **arguments: Any) -> None:
        """Assign the arguments in one step.

        At each single assignment, Airflow looks for a converter and for upstream tasks, which takes longer than this package's checks.
        """
        vars(self).update(arguments)

    def raise_template_errors(self) -> None:
        """Raise the first error that was noted while rendering.

        :raises ConfigurationError: names the parameter, its template and how to fix it.
        """
        for error in self._template_errors.values():
            raise error

    def render_template(
        self,
        content: Any,  # noqa: ANN401  # as in Airflow
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:  # noqa: ANN401
        """Render as every operator, and note errors for :meth:`raise_template_errors`."""
        name, source = self._argument_of(content), _template_in(content)
        if name is None or source is None:
            return super().render_template(content, context, jinja_env, seen_oids)
        env = jinja_env or self.get_template_env()
        nones: list[str] = []
        if env.finalize is None:  # a DAG with a finalize of its own has decided how None is written
            env = env.overlay(finalize=lambda value: nones.append("None") if value is None else value)
        try:
            rendered = super().render_template(content, context, env, seen_oids)
        except Exception as error:
            if not (missing := _missing_names(env, source, context)):
                raise
            self._note(name, _missing(name, source, missing), because=error)
            return content
        if isinstance(rendered, str) or _is_path(rendered):
            text = str(rendered)
            if nones or len(_WORD.findall(text)) > _count_outside_jinja(env, source):
                self._note(name, _none(name, source))
        elif isinstance(rendered, _NO_TEXT) and not (name == "statuses" and content is self.__dict__.get(name)):
            self._note(name, _misread(name, source, rendered))
        return rendered

    def _argument_of(self, content: object) -> str | None:
        """The name of the argument that is rendered, whole or item by item."""
        for name in self.template_fields:
            value = getattr(self, name, None)
            if value is content or (isinstance(value, list | tuple | set) and any(item is content for item in value)):
                return name
        return None

    def _note(self, name: str, error: ConfigurationError, *, because: BaseException | None = None) -> None:
        error.__cause__ = because
        self._template_errors = {**self._template_errors, name: error}


def _template_in(content: object) -> str | None:
    if not isinstance(content, str) and not _is_path(content):
        return None
    text = str(content)
    return text if is_template(text) else None


def _is_path(value: object) -> bool:
    return hasattr(value, "protocol") and hasattr(value, "path")


def _missing_names(env: jinja2.Environment, source: str, context: Context) -> list[str]:
    from jinja2 import TemplateSyntaxError, meta

    try:
        named = meta.find_undeclared_variables(env.parse(source))
    except TemplateSyntaxError:
        return []
    return sorted(each for each in named & _NOT_IN_EVERY_RUN if each not in context and each not in env.globals)


def _count_outside_jinja(env: jinja2.Environment, source: str) -> int:
    from jinja2 import nodes

    return sum(len(_WORD.findall(data.data)) for data in env.parse(source).find_all(nodes.TemplateData))


def _missing(name: str, source: str, missing: list[str]) -> ConfigurationError:
    return IntervalError(
        f"`{name}` is {source!r:.200}, and this run has no {' and '.join(missing)}: on Airflow 3, a run that is triggered by hand or by an "
        "asset has no logical date",
        hint=_HINTS_FOR_A_MISSING_NAME.get(name, f"use a name that every run has, such as dag_run.run_after, or {_WITH_A_DATE}"),
    )


def _misread(name: str, source: str, value: object) -> ConfigurationError:
    return ConfigurationError(
        f"`{name}` is {source!r:.200}, and render_template_as_native_obj=True turned its text into {value!r:.200} "
        f"(of type {type(value).__name__})",
        hint=f"put quotes into the template to keep it text: {name}='\"{{{{ ... }}}}\"'",
    )


def _none(name: str, source: str) -> ConfigurationError:
    return ConfigurationError(
        f"`{name}` is {source!r:.200}, and a value in it is None in this run, which would be written as 'None'",
        hint=_HINTS_FOR_NONE.get(name, _HINT_FOR_NONE),
    )
