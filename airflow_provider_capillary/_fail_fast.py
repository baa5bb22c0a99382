"""How an error ends a task, the same for operators and sensors: what no retry helps fails at once, on every version of Airflow."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from airflow_provider_capillary._airflow import has_retry_policies
from airflow_provider_capillary.errors import CapillaryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import BaseOperator
    from airflow.sdk import RetryPolicy

__all__ = ["fail_fast", "set_retry_policy"]


def set_retry_policy(operator: BaseOperator) -> None:
    """Give a task the package's retry policy, unless the task or its DAG's ``default_args`` has one; from Airflow 3.3 on.

    :param operator: once its own constructor has run, when the value from ``default_args`` is known.
    """
    if has_retry_policies(operator) and operator.retry_policy is None:
        operator.retry_policy = _retry_policy()


@functools.cache
def _retry_policy() -> RetryPolicy:
    """The one policy of all tasks: it has no settings."""
    from airflow_provider_capillary.retry_policy import CapillaryRetryPolicy

    return CapillaryRetryPolicy()


@contextlib.contextmanager
def fail_fast(operator: BaseOperator) -> Iterator[None]:
    """Turn an error that no retry helps into an ``AirflowFailException``, where Airflow asks no retry policy about it.

    :raises AirflowFailException: with the text of the error, which is its cause.
    """
    try:
        yield
    except CapillaryError as error:
        if error.retryable or has_retry_policies(operator):
            raise
        from airflow.providers.common.compat.sdk import AirflowFailException

        raise AirflowFailException(str(error)) from error
