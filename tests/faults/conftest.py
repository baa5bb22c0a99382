from __future__ import annotations

import shutil
from collections import Counter

import pytest

pytest.register_assert_rewrite("faults.bench", "faults.checker")

from faults.bench import DRIVERS, LOW, Bench, Fault, export, place_of  # noqa: E402  # after the line above, which is about it
from hooks.support import EMPTY, RawServer, always, answer  # noqa: E402  # as above


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """Each kind of run, where nothing goes wrong."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        for driver in DRIVERS:
            for kind, options in {"interval": {}, "interval with a token": {"oauth": True}, "polls": {"poll": True}}.items():
                folder = tmp_path_factory.mktemp("plain")
                if kind == "polls" and driver == "event loop":
                    options["after"] = made["task", "polls"].first_poll
                made[driver, kind] = seen = Bench(patch, folder, driver=driver, **options).run()
                assert seen.error is None
                assert Counter(seen.ids) == Counter(seen.expected)
    return made


@pytest.fixture
def store(tmp_path, earlier):
    """A folder with the object of an earlier run and its manifest."""
    shutil.copytree(earlier, tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture(scope="session")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    records = [{"id": f"earlier-{number}", "startTime": LOW + number} for number in range(3)]
    export(records, folder)
    return folder


@pytest.fixture(scope="session")
def elsewhere():
    """Another host, which is to hear nothing."""
    with RawServer(always(answer(EMPTY))) as server:
        yield server
    assert server.connections == 0


@pytest.fixture
def run(monkeypatch, store, plain, elsewhere, caplog):
    """Runs a case: ``run(driver, step, row, length)``, where the fault befalls so many requests from that of the step on."""
    caplog.set_level("INFO", logger="airflow_provider_capillary")
    caplog.set_level("WARNING", logger="airflow_provider_capillary.emulator")

    def run(driver, step, row, length):
        of_token, poll = step == "token fetch", step == "poll"
        kind = "polls" if poll else "interval with a token" if of_token else "interval"
        place = place_of(step, plain["task", kind])
        seen = Bench(
            monkeypatch,
            store,
            driver=driver,
            oauth=of_token,
            poll=poll,
            after=plain["task", kind].first_poll or None,
            fault=Fault(row=row, first=place + 1, last=place + length, of_token=of_token),
            elsewhere=elsewhere.url.replace("127.0.0.1", "localhost"),
        ).run()
        seen.log, seen.place, seen.plain = caplog.text, place, plain[driver, kind].asked
        assert elsewhere.connections == 0, "no redirect was followed"
        return seen

    return run
