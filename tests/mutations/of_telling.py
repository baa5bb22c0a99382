"""What must be remembered from look to look, so that what is new is reported once."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

NEWS = ("tests/reading/test_news.py",)

MUTATIONS = (
    Mutation(
        breaks="the look-back: what becomes visible late",
        file="reading/news.py",
        text="        return max(self.floor, self.watermark - LOOKBACK)\n",
        becomes="        return max(self.floor, self.watermark)\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the look-back: to its last millisecond",
        file="reading/news.py",
        text="        return max(self.floor, self.watermark - LOOKBACK)\n",
        becomes="        return max(self.floor, self.watermark - LOOKBACK + 1)\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the floor: what lies before is not asked for",
        file="reading/news.py",
        text="        return max(self.floor, self.watermark - LOOKBACK)\n",
        becomes="        return self.watermark - LOOKBACK\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the floor: what lies before is not new",
        file="reading/news.py",
        text="            if seen.instant < memory.low or seen.mark in",
        becomes="            if seen.mark in",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the floor: kept from look to look",
        file="reading/news.py",
        text="        floor = max(memory.floor, shortest, self._shortest)\n",
        becomes="        floor = max(shortest, self._shortest)\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the floor: raised where ids are forgotten",
        file="reading/news.py",
        text="        floor = max(memory.floor, shortest, self._shortest)\n",
        becomes="        floor = memory.floor\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the ids at the seam: what was reported by an earlier look",
        file="reading/news.py",
        text=" or seen.mark in memory.reported or",
        becomes=" or",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the ids at the seam: what was reported within this look",
        file="reading/news.py",
        text=" or seen.mark in self._new:\n",
        becomes=":\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the ids at the seam: of earlier looks are kept on",
        file="reading/news.py",
        text="in {**memory.reported, **self._new}.items() if instant >= low}\n",
        becomes="in self._new.items() if instant >= low}\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the ids at the seam: of this look are kept on",
        file="reading/news.py",
        text="in {**memory.reported, **self._new}.items() if instant >= low}\n",
        becomes="in memory.reported.items() if instant >= low}\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the ids at the seam: no more than are needed",
        file="reading/news.py",
        text="in {**memory.reported, **self._new}.items() if instant >= low}\n",
        becomes="in {**memory.reported, **self._new}.items()}\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="no more ids than fit",
        file="reading/news.py",
        text="    if len(reported) <= MOST_REMEMBERED:\n",
        becomes="    if True:\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="ids are forgotten by whole milliseconds",
        file="reading/news.py",
        text="[MOST_REMEMBERED] + 1\n",
        becomes="[MOST_REMEMBERED]\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the watermark moves",
        file="reading/news.py",
        text="        watermark = max(memory.watermark, min(self._newest + 1, self._now))\n",
        becomes="        watermark = memory.watermark\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the watermark does not go back",
        file="reading/news.py",
        text="        watermark = max(memory.watermark, min(self._newest + 1, self._now))\n",
        becomes="        watermark = min(self._newest + 1, self._now)\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the watermark is the API's time, not this machine's",
        file="reading/news.py",
        text="        watermark = max(memory.watermark, min(self._newest + 1, self._now))\n",
        becomes="        watermark = max(memory.watermark, self._now)\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the watermark is not drawn along by a record from the future",
        file="reading/news.py",
        text="        watermark = max(memory.watermark, min(self._newest + 1, self._now))\n",
        becomes="        watermark = max(memory.watermark, self._newest + 1)\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the watermark of all parts of an answer",
        file="reading/news.py",
        text="        self._newest = max(self._newest, newest)\n",
        becomes="        self._newest = newest\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="an API's clock may be ahead",
        file="reading/news.py",
        text="        return self._hunt.memory.low, self._now + AHEAD\n",
        becomes="        return self._hunt.memory.low, self._now\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="a look that fails half way has counted nothing",
        file="reading/news.py",
        text="        self._found = hunt.found.copy()\n",
        becomes="        self._found = hunt.found\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="two that reported side by side: the ids of both",
        file="reading/news.py",
        text="        reported = {**first.reported, **last.reported}\n",
        becomes="        reported = last.reported\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="two that reported side by side: the later watermark",
        file="reading/news.py",
        text="        return replace(last, reported=",
        becomes="        return replace(first, reported=",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the search begins where the memory ends",
        file="reading/news.py",
        text="        return cls(wanted=wanted, memory=memory, since=memory.low)\n",
        becomes="        return cls(wanted=wanted, memory=memory, since=memory.watermark)\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="a missing status is a failure",
        file="reading/wanted.py",
        text="(seen.status != SUCCESS if statuses is None",
        becomes='(seen.status not in (SUCCESS, "NO_STATUS") if statuses is None',
        caught_by=NEWS,
    ),
    Mutation(
        breaks="the end of the result holds its last record",
        file="reading/news.py",
        text="        end = None if found.last is None else found.last + 1\n",
        becomes="        end = found.last\n",
        caught_by=NEWS,
    ),
    Mutation(
        breaks="progress goes through JSON whole",
        file="reading/news.py",
        text='"since": self.since, "found": self.found.to_data()}',
        becomes='"since": self.memory.low, "found": self.found.to_data()}',
        caught_by=NEWS,
    ),
)
