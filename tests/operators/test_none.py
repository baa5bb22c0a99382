"""None, and what native rendering makes of text, in each templated argument of the operator and of the sensor."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from operators.support import ALL, export_task, fails, make_dag, names_in, run

from airflow_provider_capillary.errors import ConfigurationError
from airflow_provider_capillary.polling.filters import EventFilter

PARAMS = {"nothing": None, "empty": "", "number": 123, "digits": "123", "word": "None", "list": ["NO_STATUS"], "name": "order", "d": "x"}


def sensor(**options):
    from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor

    return CapillaryEventStatusSensor(**({"task_id": "wait", "timeout": 1} | options))


def export(**options):
    options = {"destination": "file:///nowhere/x.jsonl"} | options
    return export_task(**options)


def path(text):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(f"file:///{text}")


def rendered(make, options, *, native=False, context=None, **dag_options):
    """A task as Airflow has it when it executes it."""
    with make_dag(render_template_as_native_obj=native, **dag_options) as dag:
        task = make(**options)
    task.render_template_fields({"params": PARAMS} | (context or {}), dag.get_template_env())
    return task


def refusal(task):
    """The error that the task fails with, on its first try on either line of Airflow."""
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises((ConfigurationError, AirflowFailException)) as caught:
        task.execute({"ti": None, "params": PARAMS})
    return str(caught.value)


OR_EMPTY = "{{ ... or '' }}"
NONE = [
    # what makes the task, its arguments, the one that the error names, words of the hint
    (export, {"event_name": "{{ params.nothing }}", **ALL}, "event_name", OR_EMPTY),
    (export, {"event_name": "app_{{ params.nothing }}", **ALL}, "event_name", OR_EMPTY),
    (export, {"event_name": "x{{ params.nothing }}x", **ALL}, "event_name", OR_EMPTY),
    (export, {"event_name": "{{ 'app_' ~ params.nothing }}", **ALL}, "event_name", OR_EMPTY),
    (export, {"event_name": "{{ params.nothing | string }}", **ALL}, "event_name", OR_EMPTY),
    (export, {"event_name": "{{ params.word }}", **ALL}, "event_name", OR_EMPTY),
    (export, {"event_name": "{% if true %}{{ none }}{% endif %}", **ALL}, "event_name", OR_EMPTY),
    (export, {"statuses": "{{ params.nothing }}", **ALL}, "statuses", "{{ ... | tojson }}"),
    (export, {"statuses": ["NO_STATUS", "{{ params.nothing }}"], **ALL}, "statuses", OR_EMPTY),
    (export, {"statuses": ("{{ params.nothing }}",), **ALL}, "statuses", OR_EMPTY),
    (export, {"start": "{{ params.nothing }}", "end": ALL["end"]}, "start", OR_EMPTY),
    (export, {"start": ALL["start"], "end": "{{ params.nothing }}"}, "end", OR_EMPTY),
    (export, {"start": ALL["start"], "end": "2025-09-18T00:00:00{{ params.nothing }}"}, "end", OR_EMPTY),
    (export, {"object_storage_conn_id": "{{ params.nothing }}", **ALL}, "object_storage_conn_id", OR_EMPTY),
    (export, {"capillary_conn_id": "{{ params.nothing }}", **ALL}, "capillary_conn_id", "or 'capillary_default'"),
    (export, {"destination": "file:///dt={{ params.nothing }}/x.jsonl", **ALL}, "destination", "or 'all'"),
    (export, {"destination": "file:///{{ params.name ~ '_' ~ params.nothing }}.jsonl", **ALL}, "destination", "or 'all'"),
    (export, {"destination": "file:///None/{{ params.nothing }}.jsonl", **ALL}, "destination", "or 'all'"),
    (export, {"destination": "file:///{{ params.nothing }}/{interval_start:%Y}.jsonl", **ALL}, "destination", "or 'all'"),
    (sensor, {"event_name": "{{ params.nothing }}"}, "event_name", OR_EMPTY),
    (sensor, {"event_name": "{{ params.name ~ '-' ~ params.nothing }}"}, "event_name", OR_EMPTY),
    (sensor, {"statuses": "{{ params.nothing }}"}, "statuses", "{{ ... | tojson }}"),
    (sensor, {"statuses": ["{{ params.nothing }}"]}, "statuses", OR_EMPTY),
    (sensor, {"since": "{{ params.nothing }}"}, "since", OR_EMPTY),
    (sensor, {"capillary_conn_id": "{{ params.nothing }}"}, "capillary_conn_id", "or 'capillary_default'"),
]


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(("make", "options", "name", "hint"), NONE)
def test_none_that_became_text_is_an_error_that_names_the_argument(make, options, name, hint, deferrable):
    message = refusal(rendered(make, options | {"deferrable": deferrable}))
    assert f"`{name}` is " in message
    assert "a value in it is None" in message
    assert hint in message


def test_none_in_a_path_object_is_one_as_well():
    message = refusal(rendered(export, {"destination": path("dt={{ params.nothing }}/x.jsonl"), **ALL}))
    assert "`destination` is 'file:///dt={{ params.nothing }}/x.jsonl', and a value in it is None" in message


UNHARMED = [
    # what makes the task, its arguments, the one that is looked at, and what it is after rendering
    (export, {"event_name": "None"}, "event_name", "None"),
    (export, {"event_name": "{{ params.nothing or '' }}"}, "event_name", ""),
    (export, {"event_name": "{{ 'NoneSuch' }}"}, "event_name", "NoneSuch"),
    (export, {"event_name": "{{ 'a' if params.nothing is none else 'b' }}"}, "event_name", "a"),
    (export, {"destination": "file:///None/dt=None/{{ params.name }}.jsonl"}, "destination", "file:///None/dt=None/order.jsonl"),
    (export, {"destination": "file:///NoneSuch/{{ params.name }}.jsonl"}, "destination", "file:///NoneSuch/order.jsonl"),
    (export, {"destination": "file:///dt=None/x.jsonl"}, "destination", "file:///dt=None/x.jsonl"),
    (export, {"statuses": ["None", "{{ params.name }}"]}, "statuses", ["None", "order"]),
    (sensor, {"event_name": "None"}, "event_name", "None"),
    (sensor, {"since": "{{ params.nothing or '' }}"}, "since", ""),
]


@pytest.mark.parametrize(("make", "options", "name", "value"), UNHARMED)
def test_what_was_written_as_it_is_stays_as_it_is(make, options, name, value):
    task = rendered(make, options)
    task.raise_template_errors()
    assert getattr(task, name) == value


def test_a_dag_may_decide_by_itself_what_becomes_of_none():
    finalize = {"finalize": lambda value: "" if value is None else value}
    task = rendered(export, {"destination": "file:///a{{ params.nothing }}/x.jsonl"}, jinja_environment_kwargs=finalize)
    task.raise_template_errors()
    assert task.destination == "file:///a/x.jsonl"


def test_a_task_that_is_rendered_again_forgets_what_was_wrong_before():
    with make_dag() as dag:
        task = export(event_name="{{ params.nothing }}")
    copy = task.prepare_for_execution()
    copy.render_template_fields({"params": PARAMS}, dag.get_template_env())
    assert "event_name" in refusal(copy)
    again = task.prepare_for_execution()
    again.render_template_fields({"params": PARAMS | {"nothing": "order"}}, dag.get_template_env())
    again.raise_template_errors()
    assert again.event_name == "order"


NATIVE = [
    # what makes the task, its arguments, words of the error
    (export, {"event_name": "{{ params.digits }}", **ALL}, "`event_name` is '{{ params.digits }}', and render_template_as_native_obj"),
    (export, {"event_name": "{{ params.number }}", **ALL}, "turned its text into 123 (of type int)"),
    (export, {"event_name": "{{ 'True' }}", **ALL}, "turned its text into True (of type bool)"),
    (export, {"event_name": "{{ params.list }}", **ALL}, "turned its text into ['NO_STATUS'] (of type list)"),
    (export, {"capillary_conn_id": "{{ '1e3' }}", **ALL}, "`capillary_conn_id` is"),
    (export, {"object_storage_conn_id": "{{ params.digits }}", **ALL}, "`object_storage_conn_id` is"),
    (export, {"destination": "{{ params.digits }}", **ALL}, "`destination` is"),
    (export, {"start": "{{ '2025' }}", "end": ALL["end"]}, "`start` is"),
    (export, {"statuses": ["{{ params.digits }}"], **ALL}, "`statuses` is '{{ params.digits }}'"),
    (export, {"statuses": "{{ params.digits }}", **ALL}, "statuses=123 (of type int) is not a list"),
    (sensor, {"event_name": "{{ params.digits }}"}, "`event_name` is"),
    (sensor, {"since": "{{ '20250918' }}"}, "`since` is"),
    (sensor, {"capillary_conn_id": "{{ params.digits }}"}, "`capillary_conn_id` is"),
    (sensor, {"statuses": "{{ params.digits }}"}, "statuses=123 (of type int) is not a list"),
]


@pytest.mark.parametrize(("make", "options", "words"), NATIVE)
def test_a_value_that_native_rendering_made_of_text_is_told_apart_from_text(make, options, words):
    message = refusal(rendered(make, options, native=True))
    assert words in message


def test_the_cure_keeps_it_text():
    message = refusal(rendered(export, {"event_name": "{{ params.digits }}", **ALL}, native=True))
    assert """event_name='"{{ ... }}"'""" in message
    for value in ("123", "1e5", "0x10", "True", "007", "order"):
        task = rendered(export, {"event_name": '"{{ params.value }}"'}, native=True, context={"params": {"value": value}})
        task.raise_template_errors()
        assert task.event_name == value


def test_native_rendering_keeps_what_is_meant(api_of):
    api_of()
    task = rendered(
        export,
        {"event_name": "{{ params.nothing }}", "statuses": "{{ params.list }}", "start": "{{ start }}", "end": ALL["end"]},
        native=True,
        context={"start": datetime(2025, 6, 27, tzinfo=UTC)},
    )
    task.raise_template_errors()
    assert (task.event_name, task.statuses, task.start) == (None, ["NO_STATUS"], datetime(2025, 6, 27, tzinfo=UTC))


JSON = [
    # what is written for statuses, and what is kept; None where all or every failure are
    ('["NO_STATUS"]', ["NO_STATUS"]),
    ("{{ params.list | tojson }}", ["NO_STATUS"]),
    ("{{ ['it\\'s', 'a<b', 'NO_STATUS'] | tojson }}", ["a<b", "it's", "NO_STATUS"]),
    ("{{ params.nothing | tojson }}", None),
    ("{{ params.empty }}", None),
    ("  ", None),
]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(("written", "kept"), JSON)
def test_statuses_may_be_json_text_in_both(api_of, tmp_path, written, kept, native):
    api_of()
    task = rendered(export, {"destination": f"{tmp_path}/x.jsonl", "statuses": written, **ALL}, native=native)
    receipt = task.execute({})
    assert sorted(receipt["statuses"]) == (["NO_STATUS"] if kept else sorted(receipt["statuses"]))
    assert (receipt["events"] == 10) is (kept is None)
    watch = rendered(sensor, {"statuses": written}, native=native)
    watch.raise_template_errors()
    assert EventFilter.of(watch.statuses, watch.event_name).statuses == (None if kept is None else frozenset(kept))


NO_STATUSES = [
    # what is written for statuses, and words of the error
    ("EVENT_SUCCESS", "statuses='EVENT_SUCCESS' (of type str) is not a list of statuses"),
    ("{{ params.list }}", "is not a list of statuses"),  # Python's spelling, with single quotes
    ('{"a": 1}', "is not a list of statuses"),
    ('["NO_STATUS", null]', "holds something that is no status"),
    ('["NO_STATUS", ""]', "holds something that is no status"),
    ("[]", "is empty"),
    ("7", "is not a list of statuses"),
]


@pytest.mark.parametrize("make", [export, sensor])
@pytest.mark.parametrize(("written", "words"), NO_STATUSES)
def test_text_that_is_no_list_of_statuses_is_refused_in_both(make, written, words):
    def attempt():
        return refusal(rendered(make, {"statuses": written} | (ALL if make is export else {})))

    if "{{" in written:
        message = attempt()
    else:
        with pytest.raises(ConfigurationError) as caught:  # while the DAG is parsed
            attempt()
        message = str(caught.value)
    assert words in message
    assert "{{ ... | tojson }}" in message


@pytest.mark.usefixtures("airflow_db")
def test_in_a_real_run_it_fails_on_the_first_try_and_the_good_object_stands(api_of, tmp_path, logged):
    api = api_of()
    (tmp_path / "x.jsonl").write_text("good\n")
    with make_dag(params={"e": None}) as dag:
        export_task(tmp_path / "x.jsonl", event_name="{{ params.e }}", on_empty="skip", retries=3, **ALL)
    fails(run(dag), logged, tries=1, saying=["`event_name` is '{{ params.e }}', and a value in it is None", OR_EMPTY])
    assert api.requests == []
    assert names_in(tmp_path) == ["x.jsonl"]
    assert (tmp_path / "x.jsonl").read_text() == "good\n"


@pytest.mark.usefixtures("airflow_db")
def test_in_a_real_run_the_sensor_fails_on_the_first_try_as_well(api_of, logged):
    api = api_of()
    with make_dag(params={"e": None}) as dag:
        sensor(task_id="export", event_name="{{ params.e }}", retries=3)
    fails(run(dag), logged, tries=1, saying=["`event_name` is '{{ params.e }}', and a value in it is None", OR_EMPTY])
    assert api.requests == []
