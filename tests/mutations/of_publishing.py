"""What must be right about the one object: sorted, each record once, whole, and its manifest last."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

EXPORT = ("tests/export",)
SPOOL = ("tests/export/test_spool.py",)
FORMATS = ("tests/export/test_formats.py",)

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
        text="            if entry[0] != previous:\n",
        becomes="            if True:\n",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="the dedupe: of two records the first is kept, in one run",
        file="export/spool.py",
        text="            self._latest.sort(key=_by_key)",
        becomes="            self._latest.sort(key=_by_key, reverse=True)\n            self._latest.reverse()",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="the dedupe: of two records the first is kept, in two runs",
        file="export/spool.py",
        text="        runs.append(self._sorted_latest())\n",
        becomes="        runs.insert(0, self._sorted_latest())\n",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="the order of the object",
        file="export/spool.py",
        text="            self._latest.sort(key=_by_key)",
        becomes="            pass",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="a record that reaches from one block of a run into the next",
        file="export/spool.py",
        text="            content, at = content[at:] + more, 0\n",
        becomes="            content, at = more, 0\n",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="what is counted after a record was added",
        file="export/spool.py",
        text="        self._check_stop()\n        self._totals = None\n",
        becomes="        self._check_stop()\n",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="a record's own text in the object",
        file="export/json_lines.py",
        text="    if not isinstance(record, EventLog):\n",
        becomes="    if True:\n",
        caught_by=FORMATS,
    ),
    Mutation(
        breaks="a record's own text in a column of parquet",
        file="export/parquet.py",
        text="        exact = exact_fields_of(line)\n",
        becomes="        exact = record\n",
        caught_by=FORMATS,
    ),
    Mutation(
        breaks="a temporary file without a name",
        file="export/workspace.py",
        text="            if _opens_anew(path, descriptor):\n",
        becomes="            if False:\n",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="a path to an open file is taken only where it leads to its beginning",
        file="export/workspace.py",
        text='        return path.read_bytes() == b"?"\n',
        becomes="        return path.exists()\n",
        caught_by=SPOOL,
    ),
)
