"""What must be right about the one object: sorted, each record once, whole, and its manifest last."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

KILL = ("tests/export/test_kill.py",)
MANIFEST = ("tests/export/test_manifest.py",)
PUBLISH = ("tests/export/test_publish.py",)
SPOOL = ("tests/export/test_spool.py",)
FORMATS = ("tests/export/test_formats.py",)
ROW_GROUPS = ("tests/export/test_row_groups.py",)
REPLACING = ("tests/export/test_replacing.py",)
COLUMNS = ("tests/export/test_column_decoder.py",)

# Each row breaks one rule of how records are sorted, written and published.
MUTATIONS = (
    Mutation(
        breaks="the order of the steps: the manifest is written last",
        file="export/exporter.py",
        text="        try:\n            info = target.publish(",
        becomes=(
            "        if self._manifest is not None:\n"
            "            self._publish_manifest(receipt, info=None, ids_sha256=ids_sha256, bounds=bounds)\n"
            "        try:\n            info = target.publish("
        ),
        caught_by=PUBLISH,
    ),
    Mutation(
        breaks="the order of the steps: where nothing is left, the manifest goes first",
        file="export/exporter.py",
        text=" in self._previous.manifest_places if self._previous.erasures is None else ():\n            place.remove()\n",
        becomes=" in (self._target, *self._previous.manifest_places):\n            place.remove()\n",
        caught_by=MANIFEST,
    ),
    Mutation(
        breaks="a reading that is left half way is closed",
        file="operators/capillary.py",
        text="            with closing(reading) as pages:\n",
        becomes="            with suppress(ZeroDivisionError):\n                pages = reading\n",
        caught_by=("tests/operators/test_operator.py", "-k", "half_way"),
    ),
    Mutation(
        breaks="an interval is over by the API's clock, too",
        file="operators/_settle.py",
        text="    if settle and read_from - behind < interval.end:\n",
        becomes="    if settle and read_from < interval.end:\n",
        caught_by=("tests/operators/test_operator.py", "-k", "clock"),
    ),
    Mutation(
        breaks="what the object stands for",
        file="export/previous_export.py",
        text="            if self._subject.differs_from(manifest.claims):\n",
        becomes="            if False:\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what an object without a manifest stands for, by its records' times",
        file="export/previous_export.py",
        text="        if self._info is not None and self._described_by is None:\n",
        becomes="        if False:\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what another run puts there while this one reads",
        file="export/previous_export.py",
        text="        if info != self._info:\n",
        becomes="        if False:\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what another run puts there at the last moment",
        file="export/previous_export.py",
        text='return "if possible" if self._info is None else "no"',
        becomes='return "no"',
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="what an object that may not be looked at may hold",
        file="export/previous_export.py",
        text='return "no" if self._on_vanished == "drop" else "surely"',
        becomes='return "no"',
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="records that vanished, by default",
        file="export/previous_export.py",
        text="            if comparison.vanished_events:\n",
        becomes="            if False:\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="the text of records that are kept",
        file="export/spool.py",
        text="        self._keep(fields_of(line), line)\n",
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
        file="export/object_store.py",
        text="            if private.is_s3(fs):\n                # In one request",
        becomes="            if False:\n                # In one request",
        caught_by=(
            "tests/export/test_store_faults.py::test_a_server_that_sends_the_checksum_of_the_whole_with_a_range_is_read_all_the_same",
        ),
    ),
    Mutation(
        breaks="the file that is flushed before it is named",
        file="export/local_disk.py",
        text="                        os.fsync(file.fileno())\n",
        becomes="                        pass\n",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="the folder that is flushed once the file has its name",
        file="export/local_disk.py",
        text="                _flush(folder)\n        except FileExistsError",
        becomes="        except FileExistsError",
        caught_by=REPLACING,
    ),
    Mutation(
        breaks="a stop before the object is put there",
        file="export/exporter.py",
        text="        if self._stopped:\n",
        becomes="        if False:\n",
        caught_by=PUBLISH,
    ),
    Mutation(
        breaks="an object on local disk that the disk holds once",
        file="export/local_disk.py",
        text="                    if source != self._built or not _name(source, temporary):\n",
        becomes="                    if True:\n",
        caught_by=("tests/export/test_publish.py", "-k", "how_often"),
    ),
    Mutation(
        breaks="a file that is replaced in one step",
        file="export/local_disk.py",
        text="                    temporary.replace(target) if create == ",
        becomes="                    shutil.copyfile(source, target) if create == ",
        caught_by=KILL,
    ),
    Mutation(
        breaks="a temporary file of a killed run, which the next run removes",
        file="export/local_disk.py",
        text="                    path.unlink()\n",
        becomes="                    pass\n",
        caught_by=("tests/export/test_publish.py", "-k", "leftovers"),
    ),
    Mutation(
        breaks="a temporary file of a run that is alive, which stays",
        file="export/local_disk.py",
        text="            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        becomes="",
        caught_by=("tests/export/test_publish.py", "-k", "alive"),
    ),
    Mutation(
        breaks="what the store says that it keeps",
        file="export/target.py",
        text="        if info is None or info.size != size:\n",
        becomes="        if info is None:\n",
        caught_by=PUBLISH,
    ),
    Mutation(
        breaks="the dedupe: of two records with one time and id one is kept",
        file="export/runs.py",
        text="        if key == previous:",
        becomes="        if False:",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="the dedupe: of two records the first is kept, in one run",
        file="export/spool.py",
        text="        order = sorted(range(len(keys)), key=keys.__getitem__)",
        becomes="        order = sorted(range(len(keys) - 1, -1, -1), key=keys.__getitem__)",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="the dedupe: of two records the first is kept, in two runs",
        file="export/spool.py",
        text="merge([*self._file.runs(once=once), last_run])",
        becomes="merge([last_run, *self._file.runs(once=once)])",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="the order of the object",
        file="export/spool.py",
        text="        order = sorted(range(len(keys)), key=keys.__getitem__)",
        becomes="        order = list(range(len(keys)))",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="a part of one run that ends where another run has a record",
        file="export/runs.py",
        text="bisect_left(block.keys, limit[0])",
        becomes="len(block)",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="the room of records that have been written to the object",
        file="export/runs.py",
        text="        if count < len(self._ends) - 1:\n",
        becomes="        if False:\n",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="what is counted after a record was added",
        file="export/spool.py",
        text="        self._totals = None\n        self._keys.append",
        becomes="        self._keys.append",
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
        breaks="pyarrow must find as many records as there are between the commas",
        file="export/column_decoder.py",
        text="            if batch.num_rows != count:\n",
        becomes="            if False:\n",
        caught_by=COLUMNS,
    ),
    Mutation(
        breaks="what pyarrow decodes is UTF-8",
        file="export/column_decoder.py",
        text="            batch.validate(full=True)  # UTF-8, too\n",
        becomes="",
        caught_by=COLUMNS,
    ),
    Mutation(
        breaks="what was sent as null is told from what is absent, in columns that pyarrow decodes",
        file="export/column_decoder.py",
        text="irregular = {place for place in places if self._has_null(rows[place])}",
        becomes="irregular = set[int]()",
        caught_by=COLUMNS,
    ),
    Mutation(
        breaks="a record's own text in a column of parquet",
        file="export/parquet.py",
        text="    exact = exact_fields_of(line)\n",
        becomes="    exact = record\n",
        caught_by=FORMATS,
    ),
    Mutation(
        breaks="pages of parquet end where they do whatever the blocks",
        file="export/parquet.py",
        text="BYTES_IN_CHUNK or rows == _ROWS_IN_CHUNK:\n                yield _one_of(parts)\n",
        becomes="BYTES_IN_CHUNK or rows == _ROWS_IN_CHUNK:\n                yield from parts\n",
        caught_by=ROW_GROUPS,
    ),
    Mutation(
        breaks="large records close a row group early",
        file="export/parquet.py",
        text="if size > _BYTES_IN_GROUP or rows >= _ROWS_IN_GROUP:",
        becomes="if rows >= _ROWS_IN_GROUP:",
        caught_by=ROW_GROUPS,
    ),
    Mutation(
        breaks="a temporary file without a name",
        file="export/tempdir.py",
        text="            if _opens_anew(path, descriptor):\n",
        becomes="            if False:\n",
        caught_by=SPOOL,
    ),
    Mutation(
        breaks="a path to an open file is taken only where it leads to its beginning",
        file="export/tempdir.py",
        text='        return path.read_bytes() == b"?"\n',
        becomes="        return path.exists()\n",
        caught_by=SPOOL,
    ),
)
