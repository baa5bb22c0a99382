"""What must be right about the one object: sorted, each record once, whole, and its manifest last."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

EXPORT = ("tests/export",)
REPLACING = ("tests/export/test_replacing.py",)

MUTATIONS = (
    Mutation(
        breaks="the order of the steps: the manifest is written last",
        file="export/run.py",
        text="        try:\n            found = location.publish(",
        becomes=(
            "        if self._manifest is not None:\n"
            "            self._publish_manifest(receipt, found=None, ids_sha256=ids_sha256, wire=wire)\n"
            "        try:\n            found = location.publish("
        ),
        caught_by=EXPORT,
    ),
    Mutation(
        breaks="the order of the steps: where nothing is left, the manifest goes first",
        file="export/run.py",
        text="        for place in self._earlier.manifest_places:\n            place.remove()\n",
        becomes="        self._location.remove()\n        for place in self._earlier.manifest_places:\n            place.remove()\n",
        caught_by=EXPORT,
    ),
    Mutation(
        breaks="a reading that is left half way is closed",
        file="export/run.py",
        text="            close()\n",
        becomes="            pass\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what the object stands for",
        file="export/_earlier.py",
        text="            if self._subject.differs_from(manifest.claims):\n",
        becomes="            if False:\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what an object without a manifest stands for, by its records' times",
        file="export/_earlier.py",
        text="        if self._found is not None and self._described_by is None:\n",
        becomes="        if False:\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what another run puts there while this one reads",
        file="export/_earlier.py",
        text="        if found != self._found:\n",
        becomes="        if False:\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what another run puts there at the last moment",
        file="export/_earlier.py",
        text='return "if possible" if self._found is None else "no"',
        becomes='return "no"',
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what an object that may not be looked at may hold",
        file="export/_earlier.py",
        text='return "no" if self._on_vanished == "drop" else "surely"',
        becomes='return "no"',
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="records that vanished, by default",
        file="export/_earlier.py",
        text="        if not vanished:\n",
        becomes="        if True:\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="the text of records that are kept",
        file="export/spool.py",
        text="        self._keep(json.loads(line), line)\n",
        becomes="        self.add(json.loads(line))\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="the name of a manifest, which no pattern for data finds",
        file="export/manifest.py",
        text="_manifests/manifest-of-{readable.decode(errors='ignore')}-{digest}",
        becomes="_{name}.manifest.json",
        caught_by=("tests/export/test_engines.py",),
    ),
    Mutation(
        breaks="objects that are read in one request, not by ranges",
        file="export/location.py",
        text='        if hasattr(self._fs, "call_s3"):\n',
        becomes="        if False:\n",
        caught_by=("tests/export/test_store_faults.py", "-k", "checksum"),
    ),
    Mutation(
        breaks="the file that is flushed before it is named",
        file="export/_local_file.py",
        text="        os.fsync(descriptor)\n        move(",
        becomes="        move(",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="the folder that is flushed once the file has its name",
        file="export/_local_file.py",
        text="    _flush_folder(target.parent)\n",
        becomes="",
        caught_by=REPLACING,
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
        file="export/_local_file.py",
        text="    _put(source, target, Path.replace, log=log)\n",
        becomes="    shutil.copyfile(source, target)\n",
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
