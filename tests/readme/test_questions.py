"""A newcomer's questions are answered on the page that the newcomer opens first."""

from __future__ import annotations

import re

import pytest
from readme.blocks import PAGES, README

# The question, the page, and words of the answer.
QUESTIONS = [
    ("What does a green task guarantee?", "README", "every event log that the API would show for the interval, each once"),
    ("How do I try it without an account?", "README", "example_dags/capillary_daily_export.py"),
    ("Which permission does my Capillary user need?", "connection.md", "*Read* on the access group **Behavioural Events**"),
    ("Is the password the md5 or the plain one?", "connection.md", "`password_format` to `plain`"),
    ("Which extras does my cluster need?", "connection.md", "python -m airflow_provider_capillary check capillary_default"),
    ("Why does the Test button fail?", "connection.md", "The *Test* button of Airflow 3.3.2 is no substitute"),
    ("Do my DAGs share one rate limit?", "connection.md", "put them into one Airflow pool"),
    ("Why has my run no interval?", "export.md", "a plain cron schedule gives each run an interval of length zero"),
    ("Does a rerun write records twice?", "export.md", "It never adds a second copy of a record"),
    ("How much disk and memory does a worker need?", "export.md", "about 1.2 times its event logs as JSON"),
    ("What differs on Airflow 2.11?", "export.md", "The timetable is in another module"),
    ("How do I get a folder for each local day?", "local-days.md", 'path_timezone="Europe/London"'),
    ("What will last year cost?", "backfill.md", "python -m airflow_provider_capillary estimate"),
    ("What about records that come late?", "backfill.md", "`late_events` in the log and the receipt counts the new records"),
    ("How do I act on a failure at once?", "waiting.md", "AssetWatcher("),
    ("How do I leave phone numbers out?", "privacy.md", '"phone": "hash"'),
    ("How do I erase one customer?", "privacy.md", "airflow_provider_capillary erase"),
    ("How do I know that nothing is missing?", "completeness.md", "fewer records than the API has shown that it can give at once"),
    ("How do I query the objects?", "reading.md", "read_json('event_logs/dt=*/*.jsonl.gz'"),
    ("How do I test my DAG?", "testing.md", "with Emulator("),
    ("What do I put into requirements.txt on MWAA?", "deploying.md", "airflow-provider-capillary[s3,parquet,fast]=="),
    ("Where does the secret go on Composer?", "deploying.md", "airflow-connections-capillary_default"),
    ("What may the role of the bucket do?", "permissions.md", "s3:PutObject"),
    ("Can an upgrade break my DAGs?", "upgrading.md", "**What is stored is always read.**"),
    ("Is my password in a log?", "security.md", "are masked in logs"),
    ("What can I alert on?", "monitoring.md", "`capillary.poll_failures`"),
]


@pytest.mark.parametrize(("question", "page", "answer"), QUESTIONS, ids=[question for question, _, _ in QUESTIONS])
def test_the_page_answers(question, page, answer):
    path = README if page == "README" else PAGES / page
    assert answer in re.sub(r"(?<=\S)\n(?=\S)", " ", path.read_text()), question
