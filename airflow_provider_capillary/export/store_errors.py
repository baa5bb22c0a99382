"""What the error of a store means, and what it says, without a secret.

Every filesystem has its own tree of errors, and each translates what the store's client raised. So an error is judged by the code that the
store gave, wherever in the chain of causes it is, and by class name where the client did not get as far as the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.error_text import error_text
from airflow_provider_capillary.errors import CapillaryError, DestinationError, PublishError
from airflow_provider_capillary.export._private_interfaces import error_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "bucket_missing",
    "is_conditional_write_unsupported",
    "is_precondition_failed",
    "refusal",
    "upload_is_gone",
    "was_answered",
]

# In small letters: some servers that speak S3 spell the codes differently.
_NO_BUCKET: Final = frozenset({"nosuchbucket", "invalidbucketname", "containernotfound"})
_KEY_REJECTED: Final = frozenset(
    {
        # S3
        "invalidaccesskeyid",
        "signaturedoesnotmatch",
        "invalidtoken",
        "expiredtoken",
        "tokenrefreshrequired",
        "notsignedup",
        # AWS's STS, which gives out the credential of a role
        "invalidclienttokenid",
        "expiredtokenexception",
        # Azure
        "authenticationfailed",
        "invalidauthenticationinfo",
        "noauthenticationinformation",
    }
)
_CLOCK: Final = frozenset({"requesttimetooskewed"})
_NO_KEY: Final = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"})
"""Raised by the clients of S3 and Google before they send anything. By name, because importing the classes would import the clients."""

_UNAUTHORIZED: Final = "401"


def refusal(error: BaseException, uri: str) -> CapillaryError | None:
    """The error to raise where a store rejects the bucket, the credential or the clock; ``None`` for any other error."""
    codes = {code.lower() for code in error_codes(error)}
    if codes & _NO_BUCKET:
        return bucket_missing(uri, error)
    if codes & _CLOCK:
        return PublishError(
            f"The store of {uri} rejects requests because the clock of this worker is wrong",
            response=error_text(error),
            hint="set the worker's clock, for instance by a time service (NTP)",
        )
    if codes & _KEY_REJECTED or any(map(_is_unauthorized, _chain(error))):
        return DestinationError(
            f"The store of {uri} rejects the credential itself, whatever its rights are",
            response=error_text(error),
            hint="renew the key or token in the connection of the destination; for S3, also check that the key belongs to the endpoint_url "
            "of the connection",
        )
    if any(type(each).__name__ in _NO_KEY for each in _chain(error)):
        return DestinationError(
            f"There is no credential for {uri}",
            response=error_text(error),
            hint="put a credential into the connection of the destination, or give the worker one of its own",
        )
    return None


def bucket_missing(uri: str, error: BaseException) -> DestinationError:
    """The error for a bucket or container that does not exist."""
    return DestinationError(
        f"The bucket or container of {uri} does not exist",
        response=error_text(error),
        hint="correct its name, or create it; the endpoint, region or account of the connection decides where the store looks for it",
    )


def was_answered(error: BaseException) -> bool:
    """Whether the store itself answered, so that a further request may tell the reason."""
    return next(error_codes(error), None) is not None


def upload_is_gone(error: BaseException) -> bool:
    """Whether the store does not know the multipart upload: it has ended and its answer was lost, or another run aborted it."""
    return "NoSuchUpload" in error_codes(error)


def is_precondition_failed(error: BaseException) -> bool:
    """Whether the store refused to create an object because the object exists."""
    # 409: another upload to this key, with the same condition, is under way.
    return isinstance(error, FileExistsError) or not {"PreconditionFailed", "412", "ConditionalRequestConflict"}.isdisjoint(
        error_codes(error)
    )


def is_conditional_write_unsupported(error: BaseException) -> bool:
    """Whether the store does not support conditional writes."""
    return not {"NotImplemented", "501"}.isdisjoint(error_codes(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_unauthorized(error: BaseException) -> bool:
    """What Google's client raises: 401, or no token; a retry may help where the error says so itself."""
    if type(error).__name__ == "RefreshError":
        return not getattr(error, "retryable", False)
    return type(error).__name__ == "HttpError" and str(getattr(error, "code", None)) == _UNAUTHORIZED
