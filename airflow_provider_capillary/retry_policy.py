"""The retry policy of this package's tasks, for Airflow 3.3 and later."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import CapillaryError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.sdk import RetryDecision, RetryPolicy
else:
    try:
        from airflow.providers.common.compat.sdk import RetryPolicy
    except ImportError:
        RetryPolicy = object  # before 3.3 Airflow has no policies; this module can still be imported

__all__ = ["CapillaryRetryPolicy"]

_LONGEST_DELAY: Final = timedelta(hours=24)
"""The longest ``Retry-After`` that is obeyed: an absurd one must not delay a daily run for a week."""


class CapillaryRetryPolicy(RetryPolicy):
    """Fail at once where no retry can cure the error, retry when the API said, and leave everything else to the task's own settings."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None) -> RetryDecision:
        """Decide about one failure, by the error's class and fields.

        :param exception: what the task raised; anything but a :class:`CapillaryError` is left to Airflow.
        """
        from airflow.providers.common.compat.sdk import RetryDecision

        del try_number, max_tries, context  # the task's `retries` bounds the number of tries by itself
        if not isinstance(exception, CapillaryError):
            return RetryDecision.default()
        kind = type(exception).__name__
        if not exception.retryable:
            return RetryDecision.fail(reason=f"{kind}: no retry can cure it")
        if exception.retry_after is None:
            return RetryDecision.default()
        delay = timedelta(seconds=min(max(exception.retry_after, 0.0), _LONGEST_DELAY.total_seconds()))
        return RetryDecision.retry(delay=delay, reason=f"{kind}: the API said to come back in {exception.retry_after:g} s")

    def serialize(self) -> dict[str, Any]:
        """Nothing: the policy has no settings."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> CapillaryRetryPolicy:
        """The policy, which is always the same."""
        del data
        return cls()
