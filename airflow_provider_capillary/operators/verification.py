"""The operator that verifies a published object against the API."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_capillary._fail_fast import fail_fast, set_retry_policy
from airflow_provider_capillary.errors import IntervalError, ReadingStoppedError, UnverifiableError, VerificationError
from airflow_provider_capillary.operators._arguments import check_place_as_written, destination_of_run
from airflow_provider_capillary.operators._links import ExportedObjectLink
from airflow_provider_capillary.operators._object_operator import ObjectOperator
from airflow_provider_capillary.validation import check_choice, duration_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Literal

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_capillary.export.destination import Destination
    from airflow_provider_capillary.export.interval import Interval
    from airflow_provider_capillary.export.published_object import Claims
    from airflow_provider_capillary.export.verification import VerificationReceipt
    from airflow_provider_capillary.redaction.apply import Redactor

__all__ = ["CapillaryEventLogsVerificationOperator"]


class CapillaryEventLogsVerificationOperator(ObjectOperator, BaseOperator):
    """Read the interval of a published object from the API again, and compare. Writes nothing, neither the object nor its manifest.

    .. code-block:: python

        CapillaryEventLogsVerificationOperator(
            task_id="verify",
            destination="s3://my_aws_conn@bucket/event_logs/dt={interval_start:%Y-%m-%d}/events.jsonl.gz",
            offset=timedelta(days=7),
        )

    The run for 2025-09-24 verifies the object of 2025-09-17. The run names the object, nothing else: interval, ``event_name``, ``statuses``
    and ``redact`` are those of the object's manifest. The differences, each by ``id``:

    .. code-block:: text

        late      the API shows the record, the object lacks it, and the manifest proves that the export had not written it: the export
                  had proved that the API did not show the record then, so the record became visible later
        missing   the API shows the record, and the object has lost it; or the manifest does not prove whether it was lost or came late
        surplus   the object holds the record, and the API does not show it (the API drops old event logs)
        changed   both have the id, with another ``startTime`` or another content

    The order of fields, blanks and escapes are no content; the digits of a number are. Records that were erased from the object on purpose
    (:mod:`.erasure`) are no difference. The object's bytes, SHA-256, number of records and digest of ids are compared with its manifest as
    well; what differs is in ``manifest_differences``.

    The task refuses what can't be verified, whatever ``on_difference`` is: no object; no manifest; an object that a run is just writing,
    before or during the verification (the task waits for it for up to a minute at first); an object that is damaged or of another format
    than its name says; an object that was exported over another connection; hashes of another key. Nothing but hashes needs ``redact_key``.

    OpenLineage and Airflow's lineage collector get the API and the object as inputs. The task links to the object on Amazon S3 and Google
    Cloud Storage, also where a difference has failed it (there on Airflow 3 alone).

    It needs as many requests as the export of the interval, and room in the temporary directory for the object and for 1.2 times the
    records as JSON. At the store it needs the right to read and to list.

    :param destination: the object, as in the export operator; templated. A destination without placeholders needs no interval.
    :param path_timezone: the IANA name of the zone for the placeholders, and of the clock for ``offset``.
    :param start: with ``end``, ``lookback`` and ``partition_duration`` the interval that fills in the placeholders, as in the export
        operator; left out, the run's data interval.
    :param end: see ``start``.
    :param lookback: see ``start``.
    :param partition_duration: see ``start``.
    :param offset: how long before this interval that of the object lies, by the clock of ``path_timezone``.
    :param on_difference: ``fail`` with the counts; or ``report`` them, in the log and in the receipt, and succeed.
    :param on_no_object: ``fail``, or ``skip`` the task, where there is no object; as for an export with ``on_empty="skip"``. Where there is
        a manifest without its object, the task fails in both cases.
    :param redact_key: where the key of the hashes is, as ``redact["key"]`` of the export: ``{"variable": "..."}`` or
        ``{"connection": "..."}``.
    :param object_storage_conn_id: the connection of the store, where ``destination`` names none; templated.
    :param capillary_conn_id: the connection of the API; templated. It has to be that of the export.
    :return: a small receipt, see :class:`.export.verification.VerificationReceipt`: counts, up to 100 ids, no records.
    :raises VerificationError: there are differences, and ``on_difference="fail"``.
    :raises UnverifiableError: the object can't be verified.
    :raises CapillaryError: see the tree in :mod:`.errors`. An argument that is wrong as written fails while the DAG is parsed.
    """

    template_fields: Sequence[str] = (
        "start",
        "end",
        "object_storage_conn_id",
        "capillary_conn_id",
        # The last one: its placeholders need the interval, so `start` and `end` are rendered before.
        "destination",
    )
    ui_color = "#e1ecf4"
    operator_extra_links = (ExportedObjectLink(),)

    offset: timedelta | None
    on_difference: Literal["fail", "report"]
    on_no_object: Literal["fail", "skip"]
    redact_key: Mapping[str, str] | None

    def __init__(
        self,
        *,
        destination: ObjectStoragePath | str,
        path_timezone: str = "UTC",
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        lookback: timedelta | None = None,
        partition_duration: timedelta | None = None,
        offset: timedelta | None = None,
        on_difference: Literal["fail", "report"] = "fail",
        on_no_object: Literal["fail", "skip"] = "fail",
        redact_key: Mapping[str, str] | None = None,
        object_storage_conn_id: str | None = None,
        capillary_conn_id: str = "capillary_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._assign(
            destination=destination,
            path_timezone=path_timezone,
            start=start,
            end=end,
            lookback=lookback,
            partition_duration=partition_duration,
            offset=offset,
            on_difference=on_difference,
            on_no_object=on_no_object,
            redact_key=redact_key,
            object_storage_conn_id=object_storage_conn_id,
            capillary_conn_id=capillary_conn_id,
        )
        check_place_as_written(self)
        if offset is not None:
            duration_of("offset", offset, example="timedelta(days=7)", error=IntervalError)
        check_choice("on_difference", on_difference)
        check_choice("on_no_object", on_no_object)
        if redact_key is not None:
            from airflow_provider_capillary.redaction.rules import key_of

            key_of(redact_key, name="redact_key")
        set_retry_policy(self)

    def execute(self, context: Context) -> VerificationReceipt:
        """Find the object, read its interval from the API, and compare."""
        from airflow.providers.common.compat.sdk import AirflowSkipException

        with fail_fast(self):
            self._begin()
            destination = self._destination_of_run(context)
            api_url = self._connect()
            try:
                return self._verify(destination, api_url)
            except UnverifiableError as error:
                if error.reason == "no object" and self.on_no_object == "skip":
                    raise AirflowSkipException(error.problem) from error
                raise

    def get_openlineage_facets_on_complete(self, task_instance: object) -> object:
        """Name the API and the object as inputs, for the OpenLineage provider, which asks for them after a failure too."""
        from airflow_provider_capillary.operators._lineage import openlineage_of_verification

        del task_instance  # OpenLineage passes it
        return openlineage_of_verification(self._receipt, self._api_url)

    def _resolve_interval(self, context: Context) -> Interval:
        interval = super()._resolve_interval(context)
        if self.offset is None:
            return interval
        from airflow_provider_capillary.export.interval import earlier_interval
        from airflow_provider_capillary.export.placeholders import zone_named

        return earlier_interval(interval, self.offset, zone_named(self.path_timezone))

    def _destination_of_run(self, context: Context) -> Destination:
        interval, self._interval = self._interval, None
        if interval is None and "{" in str(self.destination):
            interval = self._resolve_interval(context)
        return destination_of_run(self, interval)

    def _verify(self, destination: Destination, api_url: str) -> VerificationReceipt:
        from airflow_provider_capillary.export.verification import open_verification, summary
        from airflow_provider_capillary.operators._lineage import emit_inputs

        hook = self.hook
        with open_verification(destination, log=self._logger, killed=lambda: self._killed) as verification:
            self._running = verification
            claims = verification.claims
            self._require_connection(claims, destination)
            redact = self._redactor_of(claims, destination)
            self._logger.info("Verifying %s: as its manifest says, it stands for %s", destination.path, _in_words(claims))
            if self._killed:
                raise ReadingStoppedError("The task was stopped before it read event logs", hint="run it again")
            reading = hook.iter_pages(claims.start, claims.end, event_name=claims.event_name, statuses=claims.statuses)
            # Closed on every way out: a reading that is left half way holds a connection to the API.
            with closing(reading) as pages:
                verification.add_pages(pages, redact=redact)
            receipt = verification.finish(events_read=hook.events_read, requests=hook.requests_made, proof=hook.proof)
        # Before a difference fails the task: its link leads to the object that differs.
        self._receipt = receipt
        emit_inputs(self, [api_url, receipt["uri"]])
        if receipt["is_equal"]:
            self._logger.info("Verified, %s", summary(receipt))
        elif self.on_difference == "report":
            self._logger.warning("Verified, %s", summary(receipt))
        else:
            raise _error_of(receipt, summary(receipt))
        return receipt

    def _require_connection(self, claims: Claims, destination: Destination) -> None:
        exported_over = claims.capillary_conn_id
        if exported_over is not None and exported_over != self.capillary_conn_id:
            raise UnverifiableError(
                f"{destination.path} was exported over the connection {exported_over!r}, and this task reads over another one, "
                f"{self.capillary_conn_id!r}",
                reason="another connection",
                hint=f"write capillary_conn_id={exported_over!r}",
            )

    def _redactor_of(self, claims: Claims, destination: Destination) -> Redactor | None:
        """What does to a record what the export has done to it."""
        if claims.redact is None:
            return None
        from airflow_provider_capillary.redaction.apply import Redactor
        from airflow_provider_capillary.redaction.key import load_key
        from airflow_provider_capillary.redaction.rules import key_of, rule_in_manifest

        try:
            reference = key_of(self.redact_key, name="redact_key") if self.redact_key is not None else None
            rule = rule_in_manifest(claims.redact, reference)
        except ValueError as error:
            raise UnverifiableError(
                f"{destination.path} was redacted by a rule that this version of the package does not know",
                reason="no claims",
                hint="verify it with the version that its manifest names, or export the interval to another path",
            ) from error
        fingerprint = claims.redact.get("key_fingerprint")
        if fingerprint is not None and reference is None:
            raise UnverifiableError(
                f"{destination.path} holds hashes of the key with the fingerprint {fingerprint}, and this task has no key",
                reason="key",
                hint='name the key as in the redact of the export, redact_key={"variable": "..."}',
            )
        redactor = Redactor(rule, load_key(reference, name="redact_key") if reference is not None and fingerprint is not None else None)
        applied = redactor.to_dict()
        if applied["key_fingerprint"] != fingerprint:
            raise UnverifiableError(
                f"{destination.path} holds hashes of the key with the fingerprint {fingerprint}, and the key of redact_key has "
                f"{applied['key_fingerprint']}",
                reason="key",
                hint="name the variable or the connection that holds the key of the export",
            )
        return redactor


def _in_words(claims: Claims) -> str:
    from airflow_provider_capillary.timestamps import format_timestamp

    filters = {"event_name": claims.event_name, "statuses": claims.statuses}
    parts = [f"[{format_timestamp(claims.start)}, {format_timestamp(claims.end)})"]
    parts += [f"{name}={value!r}" for name, value in filters.items() if value is not None]
    return ", ".join([*parts, *(["redacted"] if claims.redact is not None else [])])


def _error_of(receipt: VerificationReceipt, found: str) -> VerificationError:
    hints = []
    if receipt["late_events"] or receipt["missing_events"] or receipt["changed_events"]:
        hints.append("export the interval again, which replaces the object")
    if receipt["surplus_events"]:
        hints.append("the API drops old event logs: an export again has to say by on_vanished what happens to those of the object")
    if receipt["manifest_differences"]:
        hints.append("find out who changed the object, or export the interval again")
    ids = [f"{word} {', '.join(map(repr, some[:3]))}" for word, some in receipt["ids"].items()]
    return VerificationError(
        f"The object differs, {found}",
        response=f"ids such as {'; '.join(ids)}" if ids else None,
        counts={word: receipt[f"{word}_events"] for word in ("missing", "late", "surplus", "changed")},  # type: ignore[literal-required]  # each is a field
        hint="; ".join(hints),
    )
