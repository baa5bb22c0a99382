"""Whether a store knows the bucket and accepts the credential: found out before anything is read, with no more rights than an export needs.

A store answers ``HEAD`` without a body, so that of a refusal only its number arrives: 403 for a key that it does not know, and 403 for one
that may write there and not look; 404 for a bucket that does not exist, and 404 for an object that is not there yet. The answer to ``GET``
says which. That the credential may not look is no refusal. Whether it may write is asked by beginning an upload, which is aborted at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.errors import CapillaryError, DestinationError, PublishError
from airflow_provider_capillary.export.error_text import error_text
from airflow_provider_capillary.export.multipart import begin_and_abort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec import AbstractFileSystem

__all__ = ["raise_refusal", "refusal", "was_answered"]

# What stores call it, in small letters: not all imitations of S3 spell it alike.
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
        # AWS's STS, which is asked for a role's credential
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
"""What the clients of S3 and Google raise before they ask the store, by class: to import it would import them."""

_UNAUTHORIZED: Final = 401


def raise_refusal(fs: AbstractFileSystem, key: str, uri: str) -> None:
    """Find out, where no object was found or shown, whether one can be written there.

    Needs no right but to write. Any other answer than a refusal, a failure of the store included, is no reason to fail.

    :param key: the path inside the filesystem, bucket first.
    :raises DestinationError: there is no such bucket, the store does not accept the credential, or (on S3) it may not write.
    :raises PublishError: the store does not accept the worker's clock.
    """
    bucket, _, name = key.partition("/")
    if hasattr(fs, "call_s3"):
        _raise_if_refused(lambda: fs.cat_file(key, start=0, end=1), uri)
        try:
            begin_and_abort(fs, key)
        except PermissionError as error:
            raise refusal(error, uri) or _may_not_write(uri, error) from error
        except Exception:  # noqa: BLE001  # the store's own errors; the upload itself will meet them again
            return
    elif _speaks(fs, "gs"):
        _raise_if_refused(lambda: fs.call("GET", "b/{}/o", bucket, prefix=name, maxResults=1, json_out=True), uri, missing="bucket")
    elif _speaks(fs, "abfs"):
        _raise_if_refused(lambda: fs.info(bucket), uri, missing="bucket")


def _raise_if_refused(ask: Callable[[], object], uri: str, *, missing: str = "object") -> None:
    try:
        ask()
    except Exception as error:  # each filesystem has its own tree of errors
        is_missing = missing == "bucket" and isinstance(error, FileNotFoundError)
        refused = _no_bucket(uri, error_text(error)) if is_missing else refusal(error, uri)
        if refused is not None:
            raise refused from error


def _may_not_write(uri: str, error: BaseException) -> DestinationError:
    return DestinationError(
        f"The credential may not write {uri}",
        response=error_text(error),
        hint="give it the right to (s3:PutObject, and with a KMS key kms:GenerateDataKey and kms:Decrypt), or correct the bucket's name: "
        "some stores say the same of a bucket that does not exist",
    )


def refusal(error: BaseException, uri: str) -> CapillaryError | None:
    """The error to raise where a store will not have this bucket or this credential, whatever is asked; ``None`` where it may."""
    for one in _chain(error):
        codes = {str(code).lower() for code in (_code(one), getattr(one, "error_code", None))}
        if codes & _NO_BUCKET:
            return _no_bucket(uri, error_text(error))
        if codes & _CLOCK:
            return PublishError(
                f"The store of {uri} does not accept the clock of this worker",
                response=error_text(error),
                hint="set the worker's clock, as a time service (NTP) does",
            )
        if codes & _KEY_REJECTED or _is_unauthorized(one):
            return DestinationError(
                f"The store of {uri} rejects the credential itself, whatever it may do",
                response=error_text(error),
                hint="renew the key or token in the connection of the destination; for S3, a key is also unknown to an endpoint_url that "
                "is not its own",
            )
        if type(one).__name__ in _NO_KEY:
            return DestinationError(
                f"There is no credential to write {uri} with",
                response=error_text(error),
                hint="put one into the connection of the destination, or give the worker one of its own",
            )
    return None


def was_answered(error: BaseException) -> bool:
    """Whether the store itself has answered, so that it makes sense to ask it why."""
    return any(_code(one) is not None for one in _chain(error))


def _no_bucket(uri: str, answered: str) -> DestinationError:
    return DestinationError(
        f"The bucket or container of {uri} does not exist",
        response=answered,
        hint="correct its name, or create it; the connection's endpoint, region or account decide where it is looked for",
    )


def _speaks(fs: AbstractFileSystem, scheme: str) -> bool:
    return scheme in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was made of: the filesystems translate what their clients raise."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _code(error: BaseException) -> str | None:
    """S3's word for what is wrong, or only the number, where there was no body."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code")) if isinstance(response, dict) else None


def _is_unauthorized(error: BaseException) -> bool:
    """What Google's client raises: 401, or a token that is not given out; to try again may help where it says so itself."""
    if type(error).__name__ == "RefreshError":
        return not getattr(error, "retryable", False)
    return type(error).__name__ == "HttpError" and str(getattr(error, "code", None)) == str(_UNAUTHORIZED)
