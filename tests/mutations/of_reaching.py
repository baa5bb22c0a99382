"""What the reading must not take on trust: where windows reach and the interval ends, in which zone, and what a name leaves out."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

READER = ("tests/reading/test_reader.py",)
LEDGER = ("tests/reading/test_ledger.py",)
TAMPERED = ("tests/reading/test_tampered_pages.py",)
TRACES = ("tests/reading/test_traces.py",)
NEARBY = ("tests/reading/test_nearby.py",)
NAMES = ("tests/reading/test_names.py",)

MUTATIONS = (
    Mutation(
        breaks="nothing from outside: records far outside of a window",
        file="reading/nearby.py",
        text="    if not times or not any(bounds.is_elsewhere(time",
        becomes="    if True or not any(bounds.is_elsewhere(time",
        caught_by=TAMPERED,
    ),
    Mutation(
        breaks="the zone holds in the interval, too: a window around one of its records",
        file="reading/nearby.py",
        text="if time in found or",
        becomes="if found or",
        caught_by=NEARBY,
    ),
    Mutation(
        breaks="the zone holds in the interval, too: an error where it does not",
        file="reading/nearby.py",
        text="        if times:\n            raise",
        becomes="        if False:\n            raise",
        caught_by=NEARBY,
    ),
    Mutation(
        breaks="the zone holds in the interval, too: records beside an interval without any",
        file="reading/nearby.py",
        text="        beyond = bounds.margin + CHANGE\n",
        becomes="        beyond = bounds.margin\n",
        caught_by=NEARBY,
    ),
    Mutation(
        breaks="the zone holds in the interval, too: about its ends, where a longer window is not answered",
        file="reading/nearby.py",
        text="            windows = [_window(bounds, time, time, beyond=beyond) for time in (low, high)]\n",
        becomes="            pass\n",
        caught_by=NEARBY,
    ),
    Mutation(
        breaks="the zone holds in the interval, too: also in the midst of a long one",
        file="reading/nearby.py",
        text="            times = (*range(start, end, 2 * WEEK), end)\n",
        becomes="            times = (start, end)\n",
        caught_by=NEARBY,
    ),
    Mutation(
        breaks="the zone holds in the interval, too: at the start of one that ends in the present",
        file="reading/nearby.py",
        text=" if is_over or time < client.now - WEEK]\n",
        becomes=" if is_over]\n",
        caught_by=NEARBY,
    ),
    Mutation(
        breaks="the zone is shown by records close to both ends of a window, not to one",
        file="reading/capacity.py",
        text=" < CLOSE and -MINUTE <",
        becomes=" < CLOSE or -MINUTE <",
        caught_by=NEARBY,
    ),
    Mutation(
        breaks="the zone holds in the interval, too: shown by records of other names",
        file="reading/nearby.py",
        text="            if time in found or shown.holds_at(time):\n",
        becomes="            if time in found:\n",
        caught_by=(*NEARBY, "-k", "rare_name"),
    ),
    Mutation(
        breaks="the zone is shown by brief windows alone",
        file="reading/capacity.py",
        text="to_date - from_date <= BRIEF and ",
        becomes="",
        caught_by=NEARBY,
    ),
    Mutation(
        breaks="reach: windows that are cut in silence",
        file="reading/reader.py",
        text="        if length <= reach.length:\n            return True\n",
        becomes="        if length:\n            return True\n",
        caught_by=(*READER, "-k", "cut_in_silence"),
    ),
    Mutation(
        breaks="reach: windows that are cut in silence at their start",
        file="reading/capacity.py",
        text="        return min(self.back, self.ahead)\n",
        becomes="        return self.ahead\n",
        caught_by=LEDGER,
    ),
    Mutation(
        breaks="reach: windows that are cut in silence at their end",
        file="reading/capacity.py",
        text="        return min(self.back, self.ahead)\n",
        becomes="        return self.back\n",
        caught_by=LEDGER,
    ),
    Mutation(
        breaks="reach: a record from outside of a window shows nothing of it",
        file="reading/capacity.py",
        text="        inside = [time for time in times if from_date <= time <= to_date]\n",
        becomes="        inside = times\n",
        caught_by=LEDGER,
    ),
    Mutation(
        breaks="reach: an API that refuses what is too long does not cut it",
        file="reading/reach.py",
        text="            reach.trust(length)\n",
        becomes="            pass\n",
        caught_by=TRACES,
    ),
    Mutation(
        breaks="reach: a length that could not be shown is not tried again",
        file="reading/reach.py",
        text="        reach.not_shown = length\n",
        becomes="        pass\n",
        caught_by=TRACES,
    ),
    Mutation(
        breaks="the margin at the end: what the filter dates later",
        file="reading/extent.py",
        text="bounds.ceil(self.end + bounds.margin)\n",
        becomes="bounds.ceil(self.end)\n",
        caught_by=(*READER, "-k", "written"),
    ),
    Mutation(
        breaks="the margin at the start: what the filter dates earlier",
        file="reading/extent.py",
        text="bounds.floor(self.start - bounds.margin),",
        becomes="bounds.floor(self.start),",
        caught_by=(*READER, "-k", "dates_records_earlier"),
    ),
    Mutation(
        breaks="the length of answered windows is known no better than the zone",
        file="reading/bounds.py",
        text="        return distance + (self.margin if is_cut and distance >= HOUR else self.zone_error)\n",
        becomes="        return distance\n",
        caught_by=("tests/reading/test_worlds.py", "-k", "wrongly"),
    ),
    Mutation(
        breaks="the length of answered windows is known no better than the time that the filter compares",
        file="reading/bounds.py",
        text="self.margin if is_cut and distance >= HOUR else self.zone_error",
        becomes="self.zone_error",
        caught_by=READER,
    ),
    Mutation(
        breaks="only a window's length can be why it is refused, or its length is not trusted",
        file="reading/reach.py",
        text="        elif high == newest + 1:\n",
        becomes="        else:\n",
        caught_by=(*READER, "-k", "future"),
    ),
    Mutation(
        breaks="the margin follows the distance that was seen",
        file="reading/reader.py",
        text="        if self.bounds.margin <= margin:\n",
        becomes="        if True:\n",
        caught_by=(*READER, "-k", "lags"),
    ),
    Mutation(
        breaks="the margin can't follow where records were yielded",
        file="reading/extent.py",
        text="        if bounds.lag > (allowed := self.start - low):\n",
        becomes="        if (allowed := self.start - low) is None:\n",
        caught_by=(*READER, "-k", "lags"),
    ),
    Mutation(
        breaks="a name is sent once it was shown to leave nothing out",
        file="reading/names.py",
        text="        return self._event_name if is_shown and not self._is_refused else None\n",
        becomes="        return None if self._is_refused else self._event_name\n",
        caught_by=NAMES,
    ),
    Mutation(
        breaks="an answer to a name that is shorter than a full one shows nothing",
        file="reading/names.py",
        text="found if found == client.capacity.records else 0\n",
        becomes="client.capacity.records if found else 0\n",
        caught_by=NAMES,
    ),
    Mutation(
        breaks="a name that some of a short page's records lack shows nothing",
        file="reading/names.py",
        text="    most = count + DEVIATIONS * sqrt(count * (size - count) / size)\n",
        becomes="    most = count\n",
        caught_by=(*NAMES, "-k", "chance"),
    ),
    Mutation(
        breaks="longer answers to a name do not make the others seem short",
        file="reading/client.py",
        text="        if event_name is None or self.named_capacity:\n",
        becomes="        if True:\n",
        caught_by=(*NAMES, "-k", "more_at_once"),
    ),
    Mutation(
        breaks="a name that was shown under a smaller limit is shown anew",
        file="reading/names.py",
        text="        is_shown = self._client.capacity.records <= self._client.named_capacity\n",
        becomes="        is_shown = self._client.named_capacity > 0\n",
        caught_by=(*NAMES, "-k", "smaller_limit"),
    ),
    Mutation(
        breaks="a window that is refused for its length keeps its name",
        file="reading/names.py",
        text="        self._is_refused = asked is not None\n",
        becomes="        self._is_refused = self._is_refused or asked is not None\n",
        caught_by=(*NAMES, "-k", "length"),
    ),
    Mutation(
        breaks="where the API refuses a name, the reading goes on without",
        file="reading/names.py",
        text="        self._is_refused = asked is not None\n",
        becomes="",
        caught_by=(*NAMES, "-k", "refuses"),
    ),
    Mutation(
        breaks="rows that an answer to a name holds twice do not count twice",
        file="reading/names.py",
        text="found = len(set(answer.records.named(name).within(from_date - MARGIN, to_date + MARGIN).ids))\n",
        becomes="found = len(answer.records.named(name).within(from_date - MARGIN, to_date + MARGIN).ids)\n",
        caught_by=(*NAMES, "-k", "twice"),
    ),
    Mutation(
        breaks="names that the API takes for alike do not fill an answer together",
        file="reading/names.py",
        text="answer.records.named(name).within(",
        becomes="answer.records.within(",
        caught_by=(*NAMES, "-k", "alike"),
    ),
    Mutation(
        breaks="an answer to a name from outside of its window shows nothing",
        file="reading/names.py",
        text=".within(from_date - MARGIN, to_date + MARGIN).ids",
        becomes=".ids",
        caught_by=(*NAMES, "-k", "not_read_beside"),
    ),
    Mutation(
        breaks="a name that all records of an answer have shows nothing",
        file="reading/names.py",
        text="_chance(counts[name], len(full)) < CHANCE",
        becomes="counts[name]",
        caught_by=(*NAMES, "-k", "one_name"),
    ),
    Mutation(
        breaks="of records that were seen, only those that are looked for have to be in a whole answer",
        file="reading/pending.py",
        text="        times = self._times_of(self._not_released(records).named(self._event_name))\n",
        becomes="        times = self._times_of(self._not_released(records))\n",
        caught_by=NAMES,
    ),
)
