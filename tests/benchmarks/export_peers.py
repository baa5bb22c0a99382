"""Other tools that could read such an API, each in an environment of its own, for :mod:`export_cost`.

Each reads by offset and limit, which the API of event logs hasn't: on the real one they would lose records without saying so. None sorts;
dlt writes ``.jsonl.gz``; the Singer tap and the Airbyte source print uncompressed JSON, here into a file.

Their start-up takes longer than many records, and not always as long. So each round runs them with a tenth of the records and with all;
CPU is what the medians of all rounds differ by, for nine tenths, and start-up what is left of the shorter runs. A first run, which fills
caches, isn't counted.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Peer", "install", "medians_of"]

# Around each script: reads URL, COUNT, PAGE and TARGET, sets ROWS, prints what it took.
FRAME = """
import json, re, resource, sys, time
URL, COUNT, PAGE, TARGET = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
began = time.perf_counter()
{script}
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(each.ru_utime + each.ru_stime for each in used)
sys.__stdout__.write("\\n" + json.dumps({"cpu": cpu, "wall": time.perf_counter() - began, "peak": peak, "rows": ROWS}) + "\\n")
"""

DLT = """
import dlt, os
from dlt.sources.rest_api import rest_api_source
os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "false"
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
paginator = {"type": "offset", "limit": PAGE, "total_path": None, "maximum_offset": COUNT, "stop_after_empty_page": True}
source = rest_api_source({
    "client": {"base_url": URL},
    "resources": [{"name": "logs", "endpoint": {"path": "paged", "data_selector": "data", "paginator": paginator}}],
})
pipeline = dlt.pipeline("bench", destination=dlt.destinations.filesystem("file://" + TARGET), dataset_name="d",
    pipelines_dir=TARGET + "-work")
pipeline.run(source, loader_file_format="jsonl", write_disposition="append")
ROWS = pipeline.last_trace.last_normalize_info.row_counts["logs"]
"""

SINGER = """
from singer_sdk import Tap, RESTStream, typing as th
from singer_sdk.pagination import BaseOffsetPaginator
KINDS = dict.fromkeys(("status", "eventName", "inputRequest", "id", "webhookId", "message"), th.StringType)
KINDS |= dict.fromkeys(("startTime", "responseTime", "orgId", "parentOrgId"), th.IntegerType)
ROWS = 0
class Pages(BaseOffsetPaginator):
    def has_more(self, response):
        return self.current_value + PAGE < COUNT
class Logs(RESTStream):
    name, path, url_base, records_jsonpath = "logs", "/paged", URL, "$.data[*]"
    schema = th.PropertiesList(*(th.Property(name, kind) for name, kind in KINDS.items())).to_dict()
    def get_new_paginator(self):
        return Pages(0, PAGE)
    def get_url_params(self, context, next_page_token):
        return {"offset": next_page_token or 0, "limit": PAGE}
    def post_process(self, row, context=None):
        global ROWS
        ROWS += 1
        return row
class Bench(Tap):
    name = "tap-bench"
    config_jsonschema = th.PropertiesList().to_dict()
    def discover_streams(self):
        return [Logs(self)]
import os
sys.__stdout__ = os.fdopen(os.dup(1), "w")
os.dup2(os.open(TARGET, os.O_CREAT | os.O_WRONLY), 1)
Bench(config={}).sync_all()
"""

AIRBYTE = """
import os
from airbyte_cdk.entrypoint import launch
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
KINDS = dict.fromkeys(("status", "eventName", "inputRequest", "id", "webhookId", "message"), "string")
KINDS |= dict.fromkeys(("startTime", "responseTime", "orgId", "parentOrgId"), "integer")
SCHEMA = {"type": "object", "properties": {name: {"type": [kind, "null"]} for name, kind in KINDS.items()}}
def into(name):
    return {"type": "RequestOption", "inject_into": "request_parameter", "field_name": name}
STREAM = {
    "type": "DeclarativeStream", "name": "logs", "primary_key": ["id"],
    "schema_loader": {"type": "InlineSchemaLoader", "schema": SCHEMA},
    "retriever": {
        "type": "SimpleRetriever",
        "requester": {
            "type": "HttpRequester", "url_base": URL, "path": "/paged", "http_method": "GET", "request_parameters": {"count": str(COUNT)},
        },
        "record_selector": {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": ["data"]}},
        "paginator": {
            "type": "DefaultPaginator", "page_size_option": into("limit"), "page_token_option": into("offset"),
            "pagination_strategy": {"type": "OffsetIncrement", "page_size": PAGE},
        },
    },
}
MANIFEST = {
    "type": "DeclarativeSource", "version": "6.0.0", "streams": [STREAM],
    "check": {"type": "CheckStream", "stream_names": ["logs"]},
    "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
}
CATALOG = {"streams": [{
    "stream": {"name": "logs", "json_schema": SCHEMA, "supported_sync_modes": ["full_refresh"]},
    "sync_mode": "full_refresh", "destination_sync_mode": "append",
}]}
for name, value in (("config", {}), ("catalog", CATALOG)):
    with open(f"{TARGET}.{name}", "w") as file:
        json.dump(value, file)
source = ConcurrentDeclarativeSource(
    catalog=ConfiguredAirbyteCatalogSerializer.load(CATALOG), config={}, state=[], source_config=MANIFEST)
terminal = os.fdopen(os.dup(1), "w")
os.dup2(os.open(TARGET, os.O_CREAT | os.O_WRONLY, 0o644), 1)
launch(source, ["read", "--config", TARGET + ".config", "--catalog", TARGET + ".catalog"])
sys.__stdout__.flush()
sys.__stdout__ = terminal
with open(TARGET, "rb") as file:
    ROWS = sum(line.startswith(b'{"type":"RECORD"') for line in file)
"""


@dataclass(frozen=True)
class Peer:
    """One tool.

    :param python: the interpreter of its environment.
    :param script: what it runs.
    """

    python: str
    script: str

    def measure(self, url: str, count: int, page: int, folder: str, run: Callable[..., dict[str, float]]) -> dict[str, float]:
        """One run."""
        target = Path(folder, f"peer-{count}")
        shutil.rmtree(target, ignore_errors=True)
        if target.is_file():
            target.unlink()
        shutil.rmtree(f"{target}-work", ignore_errors=True)
        script = FRAME.replace("{script}", self.script)
        found = run([self.python, "-c", script, url, str(count), str(page), str(target)], dict(os.environ), folder)
        if found["rows"] != count:
            msg = f"{found['rows']} rows of {count}"
            raise AssertionError(msg)
        written = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
        return found | {"bytes": sum(path.stat().st_size for path in written), "requests": count / page}


def medians_of(few: list[dict[str, float]], many: list[dict[str, float]]) -> dict[str, float]:
    """The medians of the runs with all records, with CPU and start-up apart.

    :param few: runs with some of the records.
    :raises ValueError: all records took no more CPU than some of them.
    """
    short, long = ({key: statistics.median(run[key] for run in runs) for key in runs[0]} for runs in (few, many))
    each = (long["cpu"] - short["cpu"]) / (long["rows"] - short["rows"])
    if each <= 0:
        msg = f"{long['rows']:.0f} rows took no more CPU than {short['rows']:.0f}: measure more event logs, or more rounds"
        raise ValueError(msg)
    return long | {"cpu": each * long["rows"], "startup": short["cpu"] - each * short["rows"]}


def install(folder: str) -> dict[str, Peer]:
    """Make an environment for each tool, and install it there."""
    peers = {}
    tools = (("dlt", "dlt[filesystem]", DLT), ("singer-sdk", "singer-sdk", SINGER), ("airbyte-cdk", "airbyte-cdk", AIRBYTE))
    for name, package, script in tools:
        home = Path(folder, f"env-{name}")
        uv = shutil.which("uv")
        python = str(home / "bin" / "python")
        if uv:
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
            subprocess.run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, package], check=True)
        else:
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
        peers[name] = Peer(python, script)
    return peers
