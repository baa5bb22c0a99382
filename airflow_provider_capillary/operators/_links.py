"""The link from a task in Airflow's UI to the object that it exported or verified."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

__all__ = ["ExportedObjectLink", "console_url"]


class ExportedObjectLink(BaseOperatorLink):
    """A link to the object in the console of Amazon S3 or Google Cloud Storage.

    Airflow 3 asks for it in the worker, when the task has ended, and keeps it in XCom. Airflow 2 asks for it in the webserver, each time
    somebody looks. The link holds no credential and no connection id: whoever follows it signs in to the console.

    There is no link without an object, without a receipt (``do_xcom_push=False``, on Airflow 2), and where the URI alone doesn't say the
    address: on Azure, which needs a subscription; on local disk, to which no browser follows a link; on a store that only speaks the
    protocol of S3, whose connection has an ``endpoint_url``; in the partitions of AWS for China and GovCloud, by the connection's region.
    """

    name = "Exported object"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or ``""`` where there is none."""
        receipt = getattr(operator, "_receipt", None)
        if receipt is None:
            from airflow.providers.common.compat.sdk import XCom

            receipt = XCom.get_value(key="return_value", ti_key=ti_key)
        path = receipt.get("path") if isinstance(receipt, dict) else None
        return console_url(path) if isinstance(path, str) and not _is_elsewhere(path) else ""


def console_url(path: str) -> str:
    """The page of an object in its store's console; ``""`` where its URI alone doesn't say which that is.

    :param path: the object's URI, with or without a connection id.

    >>> console_url("s3://my_aws_conn@bucket/dt=2025-09-17/events.jsonl.gz")
    'https://console.aws.amazon.com/s3/object/bucket?prefix=dt%3D2025-09-17/events.jsonl.gz'
    >>> console_url("gs://bucket/dt=2025-09-17/events.jsonl.gz")
    'https://console.cloud.google.com/storage/browser/_details/bucket/dt%3D2025-09-17/events.jsonl.gz'
    >>> console_url("file:///data/events.jsonl")
    ''
    """
    scheme, _, rest = path.partition("://")
    authority, _, key = rest.partition("/")
    bucket = quote(authority.rpartition("@")[2], safe="")
    if scheme in ("s3", "s3a", "s3n"):
        return f"https://console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key)}"
    if scheme in ("gs", "gcs"):
        return f"https://console.cloud.google.com/storage/browser/_details/{bucket}/{quote(key)}"
    return ""


def _is_elsewhere(path: str) -> bool:
    """Whether the store has another console than its scheme says, as MinIO has; also where its connection can't be looked up."""
    from airflow.providers.common.compat.sdk import BaseHook

    conn_id = path.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if not conn_id:
        return any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ)
    try:
        extra = BaseHook.get_connection(conn_id).extra_dejson
    except Exception:  # noqa: BLE001  # whatever a secrets backend raises; a link is not worth a traceback
        return True
    return "endpoint_url" in str(extra) or str(extra.get("region_name")).startswith(("cn-", "us-gov-"))
