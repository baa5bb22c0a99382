"""What no retry helps fails at once, on every version of Airflow."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import CapillaryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import BaseOperator

__all__ = ["fail_fast", "has_retry_policies"]


def has_retry_policies(operator: BaseOperator) -> bool:
    """Whether this Airflow asks a task's ``retry_policy`` (3.3 and later)."""
    return hasattr(operator, "retry_policy")


@contextlib.contextmanager
def fail_fast(operator: BaseOperator) -> Iterator[None]:
    """Turn an error that no retry helps into an ``AirflowFailException``, where there is no retry policy to decide that.

    :raises AirflowFailException: with the text of the error, which is its cause.
    """
    try:
        yield
    except CapillaryError as error:
        if error.retryable or has_retry_policies(operator):
            raise
        from airflow.providers.common.compat.sdk import AirflowFailException

        raise AirflowFailException(str(error)) from error
