"""What must be right about the one object: sorted, each record once, whole, and its manifest last."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

EXPORT = ("tests/export",)

MUTATIONS = (
    Mutation(
        breaks="the order of the steps: the manifest is written last",
        file="export/run.py",
        text="        found = location.publish(built, log=self._log)\n",
        becomes=(
            "        if self._manifest is not None:\n"
            "            self._publish_manifest(receipt, found=None, ids_sha256=ids_sha256, wire=wire)\n"
            "        found = location.publish(built, log=self._log)\n"
        ),
        caught_by=EXPORT,
    ),
    Mutation(
        breaks="the order of the steps: where nothing is left, the manifest goes first",
        file="export/run.py",
        text="        beside.remove()\n        try:\n            stood",
        becomes="        self._location.remove()\n        beside.remove()\n        try:\n            stood",
        caught_by=EXPORT,
    ),
    Mutation(
        breaks="a stop before the object is put there",
        file="export/run.py",
        text="        if stop():\n",
        becomes="        if False:\n",
        caught_by=EXPORT,
    ),
    Mutation(
        breaks="a file that is replaced in one step",
        file="export/location.py",
        text="        temporary.replace(target)\n",
        becomes="        shutil.copyfile(temporary, target)\n        temporary.unlink()\n",
        caught_by=EXPORT,
    ),
    Mutation(
        breaks="what the store says that it keeps",
        file="export/location.py",
        text="        if found is None or found.size != size:\n",
        becomes="        if found is None:\n",
        caught_by=EXPORT,
    ),
    Mutation(
        breaks="the dedupe: of two records with one time and id one is kept",
        file="export/spool.py",
        text="PRIMARY KEY (start_time, id)) WITHOUT ROWID",
        becomes="n INTEGER PRIMARY KEY)",
        caught_by=EXPORT,
    ),
    Mutation(
        breaks="the order of the object",
        file="export/spool.py",
        text='"SELECT body FROM spool ORDER BY start_time, id"',
        becomes='"SELECT body FROM spool ORDER BY start_time DESC, id"',
        caught_by=EXPORT,
    ),
)
