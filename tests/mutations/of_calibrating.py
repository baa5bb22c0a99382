"""What must be known of how the API reads dates before an empty answer means anything."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

CALIBRATION = ("tests/reading/test_calibration.py",)
NO_RECORDS = ("tests/reading/test_no_records.py",)
PRECISION = ("tests/reading/test_precision.py",)
READER = ("tests/reading/test_reader.py",)
SURVEY = ("tests/reading/test_survey.py",)
WORLDS = ("tests/reading/test_worlds.py",)

# Each row breaks one rule of how the date format and its precision are found.
MUTATIONS = (
    Mutation(
        breaks="check: dates that are read to the minute are told from those that are read to the second",
        file="reading/survey.py",
        text="            self.findings.bounds = replace(bounds, unit=unit)\n",
        becomes="            pass\n",
        caught_by=SURVEY,
    ),
    Mutation(
        breaks="check: dates that are read to the hour are not taken for ignored ones",
        file="reading/survey.py",
        text=" in (NOT_FOUND, IGNORED)]",
        becomes=" in (NOT_FOUND,)]",
        caught_by=SURVEY,
    ),
    Mutation(
        breaks="no record: dates are asked for less where the interval is too long for the API",
        file="reading/no_records.py",
        text="(length for length in (DAY, HOUR, 5 * MINUTE) if length < end - start)",
        becomes="(length for length in (DAY, HOUR) if False)",
        caught_by=NO_RECORDS,
    ),
    Mutation(
        breaks="calibration: the answer has to hold the record, or others from around it",
        file="reading/calibration.py",
        text="        if not probe.is_shown_by(answer):\n",
        becomes="        if False:\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: the answer may not hold records from elsewhere",
        file="reading/calibration.py",
        text="        if any(probe.bounds.is_elsewhere(",
        becomes="        if False and any(probe.bounds.is_elsewhere(",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: a window days before must leave out the others",
        file="reading/calibration.py",
        text="        return not any(probe.bounds.is_elsewhere(",
        becomes="        return True or not any(probe.bounds.is_elsewhere(",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: whether dates that are ignored would look the same",
        file="reading/calibration.py",
        text="        return others or all(",
        becomes="        return False and all(",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: a window that holds the beginning of a unit does not rule it out",
        file="reading/calibration.py",
        text="        return probes.best.held[-1]\n",
        becomes="        return probes.unit\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: another window rules a unit out if it can't hold the same beginning",
        file="reading/calibration.py",
        text="            if best.high - best.low < distance < unit",
        becomes="            if 0 < distance < unit",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: the cells within which a window rules out the coarser units",
        file="reading/precision.py",
        text="    return {1: SECOND, SECOND: MINUTE, MINUTE: QUARTER}.get(unit, DAY)\n",
        becomes="    return {1: MINUTE, SECOND: QUARTER, MINUTE: HOUR}.get(unit, DAY)\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: a window in a cell lies a unit within it",
        file="reading/calibration.py",
        text="    low, high = dates.ceil(first + unit), dates.floor(last - unit)\n",
        becomes="    low, high = dates.ceil(first), dates.floor(last)\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: where UTC is sent, days may begin at any hour",
        file="reading/calibration.py",
        text="    if unit >= DAY or (unit == HOUR and dates.carries_zone):\n",
        becomes="    if unit >= DAY:\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="closer bounds where a span can't be split",
        file="reading/precision.py",
        text="        if dates.resolution <= unit < bounds.unit:\n",
        becomes="        if False:\n",
        caught_by=(*READER, "-k", "many_in_a_second"),
    ),
    Mutation(
        breaks="closer bounds: only where the stretch lies within one coarser unit",
        file="reading/precision.py",
        text="        found += [((low, high),)] * (high - low <= length)\n",
        becomes="        found += [((low, high),)]\n",
        caught_by=PRECISION,
    ),
    Mutation(
        breaks="closer bounds: days of an unknown zone may begin in one half of the day",
        file="reading/precision.py",
        text="        if not (yield from _cuts_within(client, dates, unit, first, last)):\n            return False\n    return True\n",
        becomes="        if (yield from _cuts_within(client, dates, unit, first, last)):\n            return True\n    return False\n",
        caught_by=PRECISION,
    ),
    Mutation(
        breaks="closer bounds: the window is answered with more than its part after it, too",
        file="reading/precision.py",
        text="                if again is not None and again > fewer:\n",
        becomes="                if again is not None:\n",
        caught_by=PRECISION,
    ),
    Mutation(
        breaks="closer bounds: an empty part comes twice",
        file="reading/precision.py",
        text="(yield from count(*part)) or (yield from count(*part))\n",
        becomes="(yield from count(*part))\n",
        caught_by=PRECISION,
    ),
    Mutation(
        breaks="closer bounds: records from farther away would show another zone",
        file="reading/precision.py",
        text="        is_near = unit >= HOUR or all(",
        becomes="        is_near = True or all(",
        caught_by=PRECISION,
    ),
    Mutation(
        breaks="closer bounds: whole units, where a record of the unit's end is in a window of its beginning",
        file="reading/precision.py",
        text="        if any(low + finer <= time < high for time in answer.records.times):\n",
        becomes="        if len(answer.records) > 1:\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="closer bounds: whole units",
        file="reading/precision.py",
        text="    if not bounds.whole_units and bounds.step >= SECOND",
        becomes="    if False and bounds.step >= SECOND",
        caught_by=(*READER, "-k", "bare"),
    ),
    Mutation(
        breaks="an API without records is asked twice",
        file="reading/calibration.py",
        text="    if not known:\n        known = (yield from client.fetch_undated()).records\n",
        becomes="",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="dates that are read to the hour or the day only",
        file="reading/calibration.py",
        text="    for unit in (HOUR, DAY):\n        bounds =",
        becomes="    for unit in ():\n        bounds =",
        caught_by=(*READER, "-k", "day"),
    ),
    Mutation(
        breaks="dates that are read to the minute only",
        file="reading/calibration.py",
        text="    for unit in (SECOND, MINUTE):\n",
        becomes="    for unit in (SECOND,):\n",
        caught_by=READER,
    ),
    Mutation(
        breaks="a limit that is refused, or a cap that falls, while dates are found out",
        file="reading/calibration.py",
        text="        if client.limit < limit or len(now) < len(known):\n",
        becomes="        if False:\n",
        caught_by=READER,
    ),
    Mutation(
        breaks="the zone that would fit is named",
        file="reading/diagnosis.py",
        text="    return within * QUARTER\n",
        becomes="    return 0\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="the zone that is named has the right sign",
        file="reading/diagnosis.py",
        text="{'-' if offset < 0 else '+'}",
        becomes="{'+' if offset < 0 else '-'}",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="no date is sent from the hour that happens twice",
        file="api/date_formats.py",
        text="        return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()\n",
        becomes="        return False\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="the zone of a date without an offset",
        file="api/date_formats.py",
        text='UTC if self.name in ("iso_z", "epoch_ms") else self.zone)\n',
        becomes="UTC)\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="a bound is rounded up, not down",
        file="api/date_formats.py",
        text="        return after if after >= timestamp else",
        becomes="        return whole if after >= timestamp else",
        caught_by=WORLDS,
    ),
    Mutation(
        breaks="milliseconds of an interval's instants are rounded up",
        file="timestamps.py",
        text="    return -(-((since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000 + since_epoch.microseconds) // 1_000)\n",
        becomes="    return ((since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000 + since_epoch.microseconds) // 1_000\n",
        caught_by=("tests/test_timestamps.py",),
    ),
    Mutation(
        breaks="a smaller limit where one is refused",
        file="reading/client.py",
        text="            self._change_limit(smaller)\n",
        becomes="",
        caught_by=(*READER, "-k", "refused"),
    ),
    Mutation(
        breaks="a limit that is refused half way",
        file="reading/client.py",
        text="                if self.limit == limit:\n",
        becomes="                if True:\n",
        caught_by=(*READER, "-k", "refused_at_any"),
    ),
    Mutation(
        breaks="how much an answer has held",
        file="reading/client.py",
        text="        self.capacity.show(len(answer))\n",
        becomes="",
        caught_by=("tests/reading/test_traces.py",),
    ),
)
