"""What must be known of how the API reads dates before an empty answer means anything."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

CALIBRATION = ("tests/reading/test_calibration.py",)
WALK = ("tests/reading/test_walk.py",)
WORLDS = ("tests/reading/test_worlds.py",)

MUTATIONS = (
    Mutation(
        breaks="calibration: the answer need not hold the record that was asked for",
        file="reading/calibration.py",
        text="        if unit is None or not self._shows(",
        becomes="        if unit is None and not self._shows(",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: an answer shows a format, whatever is in it",
        file="reading/calibration.py",
        text='        return crowded or any(record["id"] == anchor["id"] for record in answer.records)\n',
        becomes="        return True\n",
        caught_by=WORLDS,
    ),
    Mutation(
        breaks="calibration: the answer may hold others",
        file="reading/calibration.py",
        text='        if unit >= around.dates.resolution and all(around.holds(record["startTime"], unit) for record in answer.records)\n',
        becomes="        if unit >= around.dates.resolution\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: a window beside the record must leave it out",
        file="reading/calibration.py",
        text='        return all(beside.holds(record["startTime"], DAY) for record in answer.records)\n',
        becomes="        return True\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="calibration: whether dates that are ignored would look the same",
        file="reading/calibration.py",
        text='        if not all(around.holds(record["startTime"], unit) for record in self._known):\n',
        becomes="        if True:\n",
        caught_by=WORLDS,
    ),
    Mutation(
        breaks="the bound of the interval's end: wide enough for every reading of it",
        file="reading/calibration.py",
        text="        return self.dates.up(self.dates.up(end, self.upper_unit) + beyond)\n",
        becomes="        return self.dates.down(end)\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="the bound of the interval's start: wide enough for every reading of it",
        file="reading/calibration.py",
        text="        return self.dates.down(self.dates.down(start, self.lower_unit) - 1 - beyond)\n",
        becomes="        return self.dates.up(start)\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="the bound of the interval's start: where bounds are exclusive",
        file="reading/calibration.py",
        text="        return self.dates.down(self.dates.down(start, self.lower_unit) - 1 - beyond)\n",
        becomes="        return self.dates.down(self.dates.down(start, self.lower_unit) - beyond)\n",
        caught_by=WALK,
    ),
    Mutation(
        breaks="to which unit the API may cut an end down",
        file="reading/calibration.py",
        text="self.dates.down(self.high, unit) >= last)\n",
        becomes="True) and 1\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="to which unit the API may pass a start over",
        file="reading/calibration.py",
        text="self.dates.down(self.low, unit) + unit <= first)\n",
        becomes="True) and 1\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="an API without records is asked twice",
        file="reading/calibration.py",
        text="    if not known:\n        known = (yield from questions.undated()).records\n",
        becomes="",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="records in no order of time",
        file="reading/calibration.py",
        text="        return Order.of(known)\n    except ValueError:\n",
        becomes="        return Order.of(known)\n    except ValueError:\n        return None\n",
        caught_by=WALK,
    ),
    Mutation(
        breaks="dates that are read to the day only",
        file="reading/calibration.py",
        text="        wire = yield from search.coarse(dates)\n",
        becomes="        wire = None\n",
        caught_by=WALK,
    ),
    Mutation(
        breaks="dates that are read to the second",
        file="reading/calibration.py",
        text="        if wire is None and self.tried[dates] == NOTHING and dates.resolution < SECOND:\n",
        becomes="        if False:\n",
        caught_by=WORLDS,
    ),
    Mutation(
        breaks="a limit that is refused from the first dated question on",
        file="reading/calibration.py",
        text="        if questions.limit < limit or len(now) < len(known):\n",
        becomes="        if False:\n",
        caught_by=WORLDS,
    ),
    Mutation(
        breaks="the zone that would fit is named",
        file="reading/diagnosis.py",
        text="    return within * GRID\n",
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
        file="reading/dates.py",
        text="        return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()\n",
        becomes="        return False\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="the zone of a date without an offset",
        file="reading/dates.py",
        text='UTC if self.name in ("iso_z", "epoch_ms") else self.zone)\n',
        becomes="UTC)\n",
        caught_by=CALIBRATION,
    ),
    Mutation(
        breaks="a bound is rounded up, not down",
        file="reading/dates.py",
        text="        return after if after >= instant else",
        becomes="        return whole if after >= instant else",
        caught_by=WORLDS,
    ),
    Mutation(
        breaks="milliseconds of an interval's instants are rounded up",
        file="reading/instants.py",
        text="    return -(-((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) // 1_000)\n",
        becomes="    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) // 1_000\n",
        caught_by=("tests/reading/test_instants.py",),
    ),
    Mutation(
        breaks="a smaller limit where one is refused",
        file="reading/questions.py",
        text="            self.limit = smaller\n",
        becomes="",
        caught_by=WALK,
    ),
    Mutation(
        breaks="a limit that is refused half way",
        file="reading/questions.py",
        text="                if self.limit == limit:\n",
        becomes="                if True:\n",
        caught_by=WALK,
    ),
    Mutation(
        breaks="how much an answer has held",
        file="reading/questions.py",
        text="        self._note(answer)\n        inside",
        becomes="        inside",
        caught_by=WORLDS,
    ),
)
