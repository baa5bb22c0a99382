"""A 400 refuses a question, not the reading: it is put otherwise where it can be, and never again in the same words."""

from __future__ import annotations

import pytest
from faults.bench import DRIVERS, FOR_EVER, STEPS
from faults.checker import check_end
from faults.table import Row

from airflow_provider_capillary.errors import AuthenticationError, CalibrationError, ParametersRefusedError

WINDOW, LIMIT, NOTHING, TOKEN = ("from_date", "to_date", "limit"), ("limit",), (), ()

STAYS = {
    "first request": (ParametersRefusedError, [LIMIT, NOTHING]),
    **dict.fromkeys(STEPS[1:5] + STEPS[6:], (ParametersRefusedError, [WINDOW, LIMIT, NOTHING])),
    "token fetch": (AuthenticationError, [TOKEN]),
}
"""By step: the error, and which parameters the refused question has and those that follow it: fewer and fewer."""

ONCE = {
    "first request": (None, [LIMIT, NOTHING, LIMIT]),  # another limit
    "calibration": (CalibrationError, [WINDOW, LIMIT]),  # the date format is set, so there is no other to try
    **dict.fromkeys(("first page", "middle page", "poll"), (None, [WINDOW, LIMIT, WINDOW])),  # a shorter window
    "last page": (None, [WINDOW, LIMIT]),  # asked for again to see whether the API still gives as much: any long answer shows it
    "token fetch": (AuthenticationError, [TOKEN]),
}
"""The same where one request is refused and no other; without an error, the rest of the reading follows."""


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how_long", ["once", "for long"])
def test_a_refused_question(run, how_long, step, driver):
    row = Row(verdict="put otherwise", name="http_400")
    seen = run(driver, step, row, 1 if how_long == "once" else FOR_EVER)
    kind_of_error, questions = (ONCE if how_long == "once" else STAYS)[step]
    since = seen.asked[seen.place :]
    assert seen.asked[: seen.place] == seen.plain[: seen.place]
    assert [tuple(name for name, _ in asked.params) for asked in since][: len(questions)] == questions
    assert since[0] not in since[1:], "what was refused is not asked again"
    assert seen.pauses == []
    if kind_of_error is None:
        assert len(since) >= len(questions)
    else:
        assert len(since) == len(questions)
        assert type(seen.error) is kind_of_error
        assert not seen.error.retryable
        assert seen.error.hint
        assert "HTTP 400" in seen.error.response or kind_of_error is CalibrationError
    check_end(seen, survives=kind_of_error is None, writes=driver == "task" and step != "poll")
