"""What a run says in its log: two lines of what it read and what it wrote, and a warning where its filters keep nothing."""

from __future__ import annotations

import re

import pytest
from export.support import ENDINGS, lines_of, unpack
from operators.support import ALL, export_task

pytestmark = pytest.mark.usefixtures("airflow_db")


def own_lines(out):
    """The lines that hook and operator logged; in the log of a task these are this package's."""
    lines = [line for line in out.splitlines() if re.search(r"airflow\.task\.(hooks|operators)\.", line)]
    return [line for line in lines if "cannot be called outside" not in line]  # Airflow's, of a task without its runner


@pytest.mark.parametrize("again", [False, True], ids=["the first run", "a rerun"])
def test_two_lines_say_what_a_run_did(api_of, tmp_path, logged, again):
    api_of()
    task = export_task(tmp_path / "out.jsonl", **ALL)
    if again:
        task.execute({})
    logged()
    receipt = task.execute({})
    read, wrote = own_lines(logged())
    assert f"Read 10 event logs of [2025-06-27T00:00:00Z, 2025-09-18T06:00:00Z): {receipt['requests']} requests, " in read
    assert "Wrote 10 event logs (INVALID_EVENT_NAME 4, NO_CUSTOMER_DETAILS_PASSED 3, EVENT_SUCCESS 1, " in wrote
    assert f"), {receipt['bytes']} bytes, for [2025-06-27T00:00:00.000Z, 2025-09-18T06:00:00.000Z), start and end of the task: " in wrote
    assert re.search(rf"{re.escape(receipt['path'])}( \[airflow|$)", wrote), "the path is what the line ends with"
    assert receipt["events_read"] == 10


# The filters, how many event logs were read, and what the warning says; all of ten were there.
FILTERS = {
    "a status misspelt": (
        {"statuses": ["EVENT_SUCESS"]},
        10,
        "None of 10 event logs was kept. Asked for statuses=",
    ),
    "a name misspelt": (
        {"event_name": "Group_User_Evnt"},
        10,
        "None of 10 event logs was kept. Asked for event_name='Group_User_Evnt'; the names were ",
    ),
    "a status that is there": ({"statuses": ["EVENT_SUCCESS"]}, 10, None),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_that_keep_nothing_are_told(api_of, tmp_path, logged, name):
    filters, events_read, said = FILTERS[name]
    api = api_of()
    receipt = export_task(tmp_path / "out.jsonl", **ALL, **filters).execute({})
    lines = own_lines(logged())
    assert receipt["events_read"] == events_read
    assert receipt["requests"] == len(api.requests)
    assert len(lines) == 2 + (said is not None)
    if said is not None:
        assert receipt["events"] == 0
        assert sum(said in line and "did you mean '" in line for line in lines) == 1
    if events_read and receipt["events"] < events_read:
        assert f"kept {receipt['events']}, " in lines[0]


@pytest.mark.parametrize("ending", ENDINGS)
def test_numbers_come_out_as_the_api_sent_them(ending, monkeypatch, tmp_path):
    from hooks.support import RawServer, answer, connection

    fields = '"amount":1234567890.123456789,"n":[-0,1.0,1e400]'
    record = f'{{"id":"a","startTime":1757000000000,{fields}}}'
    body = f'{{"data":[{record}],"warnings":[],"errors":[]}}'.encode()

    def serve(conn, head, _number):
        # Calibration asks for windows beside the record, too, which are empty.
        inside = b"from_date" not in head or 1757000000000 in range(*map(int, re.findall(rb"_date=(\d+)", head)))
        conn.sendall(answer(body if inside else b'{"data":[],"warnings":[],"errors":[]}'))
        return True

    with RawServer(serve) as server:
        api = connection(server.url, date_format="epoch_ms", requests_per_minute=100_000)
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api)
        target = tmp_path / f"out{ending}"
        task = export_task(target, start="2025-09-04T00:00:00Z", end="2025-09-05T00:00:00Z")
        assert task.execute({})["events"] == 1
    content = target.read_bytes()
    if ending == ".parquet":
        assert unpack(content, ending)[0]["_extra"] == f"{{{fields}}}"
    else:
        assert lines_of(content, ending) == [record]
