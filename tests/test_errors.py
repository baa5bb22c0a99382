"""What the text of an error says first: a pane of Airflow's UI shows one line of it."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_capillary import errors

KINDS = [getattr(errors, name) for name in errors.__all__]


# Each public class of errors.
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_problem_and_cure_stand_before_the_rest(kind):
    error = kind("It is broken", request="GET /x", response="HTTP 500", request_id="r-1", hint="mend it.", retry_after=7.5)
    text = "It is broken. How to fix: mend it. Request: GET /x. Response: HTTP 500. Request id: r-1. Retry after: 7.5 s."
    assert str(error) == text
    assert str(pickle.loads(pickle.dumps(error))) == text  # noqa: S301  # made here
    assert str(kind("It is broken.")) == "It is broken."
