"""The one judge of all cases: everything once, or the right error; no request too few or too many; nothing written by halves."""

from __future__ import annotations

import json
from collections import Counter

from export.support import manifest_name
from hooks.support import SECRETS

BODIES = ("Cloudflare", "Attention", "Too many requests", "One of the requests", "username/password", "Access is denied", "Search engine")
"""Of the bodies of faults."""
MOST_WAITED = 300.0
"""Seconds that one reading waits at most."""


def check(seen, *, row, poll, longer, writes):
    """Judge a run with a fault by the row of the fault and the run without.

    :param writes: whether the run writes an object where it survives.
    :param longer: how many times a row's number of tries the fault lasted; 0 where it befell one request.
    """
    tries = _tries(row, longer)
    survives = row.verdict == "harmless" or (row.verdict == "passing" and (not longer or poll))
    _check_asked(seen, tries, survives=survives, again=survives and bool(longer) and row.verdict == "passing")
    _check_arrived(seen, row, tries, longer)
    _check_pauses(seen, row, longer, poll=poll)
    if not survives:
        _check_error(seen, row)
    check_end(seen, survives=survives, writes=writes)


def check_end(seen, *, survives, writes):
    """All records, each once, and the object of them; or an error, and the store as it was. In either case nothing secret."""
    if survives:
        assert seen.error is None, seen.error
        assert Counter(seen.ids) == Counter(seen.expected)
    else:
        assert seen.error is not None
    if survives and writes:
        _check_written(seen)
    else:
        assert seen.after == seen.before, "a run that fails, or does not write, leaves the store as it was"
    _check_silent(seen)


def _tries(row, longer):
    """How often the request is sent that the fault befalls."""
    if row.verdict == "passing":
        return row.tries * longer if longer else 2
    return 1


def _check_asked(seen, tries, *, survives, again):
    """The same requests as without the fault, the one that it befell so often, and nothing after it where that was the end."""
    plain, place = seen.plain, seen.place
    expected = [*plain[:place], *[plain[place]] * (tries + again), *(plain[place + 1 :] if survives else [])]
    assert seen.asked == expected


def _check_arrived(seen, row, tries, longer):
    """What the server saw is what the driver sent: nothing sends a request again behind its back."""
    place = seen.place
    arrived = [(each.path, tuple(each.params.items())) for each in seen.arrived]
    asked = [(asked.path, asked.params) for asked in seen.asked]
    befallen = [each.fault for each in seen.arrived if each.fault]
    faults = (tries if longer else 1) if row.verdict == "passing" else 1
    if row.name is None:
        assert arrived == asked[:place] + asked[place + faults :]
        return
    assert arrived == asked
    if row.verdict == "harmless":
        assert set(befallen) == {row.name}
        return
    assert befallen == [row.name] * faults
    assert [each.fault for each in seen.arrived[place : place + faults]] == befallen


def _check_pauses(seen, row, longer, *, poll):
    waited = sum(seen.pauses)
    if row.verdict != "passing":
        assert waited == 0
    elif not longer or row.tries == 2:
        pauses = longer or 1
        # After a pause, each further request waits for its turn, a moment.
        assert row.pause[0] * pauses <= waited <= row.pause[1] * pauses + 0.1
    else:
        assert 20 < waited <= MOST_WAITED * (2 if poll else 1)


def _check_error(seen, row):
    error = seen.error
    assert type(error) is row.error, f"{type(error).__name__}: {error}"
    assert error.request == str(seen.plain[seen.place])
    assert row.response in error.response
    assert row.hint in error.hint
    assert row.problem in error.problem
    assert error.retryable == (row.verdict == "passing")
    assert error.retry_after == row.retry_after
    assert error.request_id == (seen.arrived[-1].request_id if row.has_id else None)
    assert (f"({row.tries} tries)" in error.problem) == (row.tries > 1)


def _check_written(seen):
    manifest_path = manifest_name("events.jsonl")
    assert set(seen.after) == {"events.jsonl", manifest_path}
    manifest = json.loads(seen.after[manifest_path][0])
    assert manifest["receipt"]["events"] == len(seen.expected)
    assert manifest["receipt"]["requests"] == len(seen.asked)


def _check_silent(seen):
    """Nothing of a secret or of a body in what is shown of the error, in what a trigger hands on, or in a log."""
    said = [*seen.told, seen.log]
    error, known = seen.error, set()
    while error is not None and id(error) not in known:
        known.add(id(error))
        said.append(f"{error!s} {error!r} {error.__dict__!r}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    text = "\n".join(said)
    found = [secret for secret in (*SECRETS, *BODIES) if secret in text]
    assert not found, text
