r"""The destination that a user wrote: a URI of a store, a path on local disk, or an error with the right spelling.

.. code-block:: text

    s3://my_conn@bucket/folder/x.jsonl     a URI: scheme, connection (optional), bucket, key
    file:///folder/x.jsonl                 a file on the worker's own disk
    /folder/x.jsonl                        the same file

Anything else is refused, because the object would end up somewhere else. ``pathlib`` turns a URI into ``s3:/bucket/x.jsonl``, which one
version of Airflow takes for a local path; a relative path depends on where the worker was started; a doubled slash is part of an S3 key.

Text with templates is checked as far as the text around the templates decides: ``s3:/bucket/{{ ds }}.jsonl`` is wrong whatever the template
becomes, ``{{ params.base }}/x.jsonl`` may be right.
"""

from __future__ import annotations

import pathlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_capillary.errors import DestinationError
from airflow_provider_capillary.export.formats import format_of
from airflow_provider_capillary.validation import is_unset

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

__all__ = ["EXTRAS", "Destination", "check_destination", "masked", "parse_destination", "with_connection"]

EXTRAS: Final = {
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "adl": "azure",
}
"""The extra of this package that brings the filesystem of a scheme."""

_LOCAL_SCHEMES: Final = frozenset({"file", "local"})

_OTHER_NAMES: Final = {"az": "abfs", "azure": "abfs", "wasb": "abfs", "wasbs": "abfss", "google": "gs", "gc": "gs", "aws": "s3"}
"""What other tools call these stores. Airflow has no filesystem by these names."""

_WEB_ADDRESS: Final = re.compile(
    r"(?:(?P<bucket>[\w.-]+)\.)?s3[.\w-]*\.amazonaws\.com/(?P<s3>.+)|storage\.(?:googleapis|cloud\.google)\.com/(?P<gs>.+)"
    r"|[\w-]+\.(?:blob|dfs)\.core\.windows\.net/(?P<abfs>.+)"
)

# Stands for a template, whose value is unknown before it is rendered. A character for private use, so that no user writes it.
_HOLE: Final = "\ue000"
_TEMPLATES: Final = re.compile(r"\{\{.*?(?:\}\}|$)|\{%.*?(?:%\}|$)|\{#.*?(?:#\}|$)|\{interval_(?:start|end)[^{}]*\}", re.DOTALL)

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/*)(.*)", re.DOTALL)
_KNOWN: Final = "|".join(sorted({*EXTRAS, *_LOCAL_SCHEMES, *_OTHER_NAMES, "https?"}, key=len, reverse=True))
_CREDENTIALS: Final = re.compile(rf"\s*+(?:(?i:{_KNOWN}):/*|[A-Za-z][\w+.-]*:/+)?+(?!arn:|[A-Za-z]:[\\/])[^/@\s]*:(?!//)[^@]*@")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_EXAMPLES: Final = "s3://my_conn@bucket/events/2025-09-18.jsonl.gz or file:///data/events/2025-09-18.jsonl.gz"


class Destination(NamedTuple):
    """A destination that was checked and taken apart."""

    scheme: str
    """``file`` for every path on local disk."""
    conn_id: str | None
    bucket: str
    """Or container; empty on local disk."""
    key: str
    """The object's name in the bucket; on local disk the absolute path."""
    path: ObjectStoragePath | str
    """The whole destination, with the connection id in its URI."""

    @property
    def ending(self) -> str:
        """The ending that chooses the format, one of :data:`.formats.ENDINGS`."""
        return format_of(self.key)

    @property
    def is_local(self) -> bool:
        """Whether it is a file on the worker's own disk."""
        return self.scheme in _LOCAL_SCHEMES


class _Fault(NamedTuple):
    problem: str
    hint: str = ""
    right: str | None = None
    """How it should be written, where that can be told."""


_HOME: Final = _Fault("begins with ~, which is not expanded", "write the whole path, as in destination='file:///home/airflow/events.jsonl'")


def check_destination(value: object) -> str | None:
    """Check a destination while the DAG is parsed, when its templates are not rendered yet, as far as the text around them decides.

    :param value: an ``ObjectStoragePath`` or its URI.
    :return: the scheme of the URI; ``None`` for a path on local disk, and where a template may still add a scheme.
    :raises DestinationError: with the right spelling. User and password in a URI, and the text after a ``?``, are not shown.
    """
    text = _text_of(value)
    known = _TEMPLATES.sub(_HOLE, text)
    _raise_fault(known, text)
    if not text.rstrip().endswith(("}}", "%}")):
        format_of(text)
    uri = _uri_of(known)
    return uri[1] if uri and uri[1] not in _LOCAL_SCHEMES else None


def parse_destination(value: object, conn_id: str | None = None) -> Destination:
    """Check a destination in the run, when it is final, and take it apart.

    :param value: an ``ObjectStoragePath`` or its URI.
    :param conn_id: the connection of a URI that names none.
    :raises DestinationError: as :func:`check_destination` and :func:`with_connection`.

    >>> parse_destination("s3://bucket/folder/x.jsonl", "my_conn")[:4]
    ('s3', 'my_conn', 'bucket', 'folder/x.jsonl')
    >>> parse_destination("/folder/x.jsonl")[:4]
    ('file', None, '', '/folder/x.jsonl')
    """
    text = _text_of(value)
    _raise_fault(text, text)
    format_of(text)
    path = with_connection(value, conn_id)  # type: ignore[arg-type]  # one of the two types, or `_text_of` had raised
    scheme, separator, rest = str(path).partition("://")
    if not separator or scheme in _LOCAL_SCHEMES:
        return Destination("file", None, "", rest if separator else scheme, path)
    authority, _, key = rest.partition("/")
    named, _, bucket = authority.rpartition("@")
    return Destination(scheme, named or None, bucket, key, path)


def with_connection(path: ObjectStoragePath | str, conn_id: str | None) -> ObjectStoragePath | str:
    """The destination, with the connection id in its URI.

    Only the text is changed: making an ``ObjectStoragePath`` looks up its connection on Airflow 3.3.

    :raises DestinationError: the URI names another connection, or the id can't be part of a URI.

    >>> with_connection("s3://bucket/events.jsonl", "my_aws_conn")
    's3://my_aws_conn@bucket/events.jsonl'
    """
    if not isinstance(conn_id, str) or is_unset(conn_id):
        return path  # another check names what is no text
    if re.search(r"[/?#@:\s]", conn_id):
        raise DestinationError(
            f"object_storage_conn_id={conn_id!r} holds a character that ends the connection id in a URI (one of / ? # @ : or a space)",
            hint="give the connection another id; ObjectStoragePath takes it from the URI alone",
        )
    scheme, separator, rest = str(path).partition("://")
    if not separator or scheme in _LOCAL_SCHEMES:
        return path
    named, separator, _ = rest.partition("/")[0].rpartition("@")
    if not separator:
        return f"{scheme}://{conn_id}@{rest}"
    if named != conn_id:
        raise DestinationError(
            f"destination={str(path)!r} names the connection {named!r}, and object_storage_conn_id={conn_id!r} another",
            hint="leave out one of the two",
        )
    return path


def masked(text: str) -> str:
    """A destination, right or wrong, without the part that may be a password or a signature."""
    if _CREDENTIALS.match(text):
        text = re.sub(r"^(\s*(?:[A-Za-z][\w+.-]*:/+)?).*@", r"\1***@", text, flags=re.DOTALL)
    return re.sub(r"\?.+", "?***", text, flags=re.DOTALL)


def _text_of(value: object) -> str:
    # By name, because importing the class takes as long as everything else that happens while a DAG file is parsed.
    if isinstance(value, str):
        return value
    if any(kind.__name__ == "ObjectStoragePath" for kind in type(value).__mro__):
        return str(value)
    kind = type(value).__name__
    if not isinstance(value, pathlib.PurePath) and not hasattr(value, "__fspath__") and not hasattr(value, "protocol"):
        # A list, for instance, may hold a URI with a password.
        value_shown = f"={value!r}" if value is None or isinstance(value, int | float) else ""
        raise DestinationError(
            f"destination{value_shown} (of type {kind}) is neither an ObjectStoragePath nor its URI", hint=f"write it as in {_EXAMPLES}"
        )
    text = str(value)
    fault = _find_fault(_TEMPLATES.sub(_HOLE, text))
    right = _spelled(fault.right) if fault else text if "://" in text else f"file://{text}"
    raise DestinationError(
        f"destination={masked(text)!r} is a {kind}, neither an ObjectStoragePath nor its URI: Airflow does not render templates in it, and "
        "it turns a URI into a local path",
        hint=f"write destination={_filled(right, text)!r}" if right else f"write it as text, as in {_EXAMPLES}",
    )


def _raise_fault(known: str, text: str) -> None:
    fault = _find_fault(known)
    if fault is None:
        return
    right = _spelled(fault.right)
    hint = ", ".join(part for part in (f"write destination={right!r}" if right else "", fault.hint) if part)
    raise DestinationError(f"destination={masked(text)!r} {fault.problem}", hint=_filled(hint or f"write it as in {_EXAMPLES}", text))


def _spelled(right: str | None) -> str | None:
    """The right spelling, with every further fault corrected as well; ``None`` where that can't be done."""
    for _ in range(10):
        other = None if right is None else _find_fault(right)
        if other is None:
            return right
        right = other.right
    return None


def _filled(hint: str, text: str) -> str:
    """A hint with the templates of the text in place of its holes."""
    templates = iter(_TEMPLATES.findall(text))
    return re.sub(r"\ue000|\\ue000", lambda _: next(templates, "..."), hint)  # as it is, and as repr() writes it


def _find_fault(text: str) -> _Fault | None:
    """The first rule that the text breaks, whatever its templates become."""
    for rule in (_fault_of_text, _fault_of_windows_path, _fault_of_scheme):
        fault = rule(text)
        if fault is not None:
            return fault
    uri = _uri_of(text)
    if uri:
        scheme, slashes, rest = uri.groups()
        if rest.startswith(_HOLE) and (slashes != "//" or scheme in _LOCAL_SCHEMES):
            return None  # the template may add the missing slashes
        return _fault_of_file(slashes, rest) if scheme in _LOCAL_SCHEMES else _fault_of_object(scheme, slashes, rest)
    if text.startswith("/"):
        return _fault_of_path(text, before="")
    if _HOLE in text.partition("/")[0]:
        # The template may still turn it into a URI or an absolute path.
        begin = re.match(r"[^/]*/+", text)
        return _fault_of_path("/" + text[begin.end() :], before=begin[0].removesuffix("/")) if begin else None
    return _Fault(
        "is a relative path, and depends on where the worker was started",
        f"write the whole path, as in destination='file:///data/{text}', or put s3://my_conn@bucket/ before it",
    )


def _fault_of_text(text: str) -> _Fault | None:
    if not text.strip():
        return _Fault("is empty")
    if _CREDENTIALS.match(text):
        return _Fault(
            "holds a user and a password, which everybody who sees the DAG can read",
            "put them into an Airflow connection and its id into the URI, as in s3://my_conn@bucket/events.jsonl; then renew them",
        )
    if text != text.strip() or _CONTROL.search(text):
        return _Fault("has white space around it, or a line break in it", right=_CONTROL.sub("", text).strip())
    if text.startswith("~"):
        return _HOME
    return None


def _fault_of_windows_path(text: str) -> _Fault | None:
    drive = re.match(r"(?:file:/*)?([A-Za-z]):(?=[\\/])[\\/]*", text)
    if drive:
        return _Fault(
            "is a Windows path, and Airflow's workers run on Linux",
            "if the drive is mounted there (in WSL it is), or the URI of a store",
            f"file:///mnt/{drive[1].lower()}/" + text[drive.end() :].replace("\\", "/"),
        )
    if text.startswith("\\\\"):
        return _Fault(
            "is the path of a Windows share, and Airflow's workers run on Linux",
            "if the share is mounted there, or the URI of a store",
            "file:///mnt/" + text.lstrip("\\").replace("\\", "/"),
        )
    return _Fault("has a backslash in it", right=text.replace("\\", "/")) if "\\" in text else None


def _uri_of(text: str) -> re.Match[str] | None:
    """Scheme, slashes and the rest of a URI, or of text that is meant as one."""
    uri = _URI.fullmatch(text)
    # Without a slash it may be a name with a colon in it, unless it begins like a store.
    return uri if uri and (uri[2] or re.fullmatch(_KNOWN, uri[1], re.IGNORECASE)) else None


def _fault_of_scheme(text: str) -> _Fault | None:
    uri = _uri_of(text)
    if uri is None:
        return None
    scheme, slashes, rest = uri.groups()
    lower = scheme.lower()
    if len(slashes) < len("//") and not rest.startswith(_HOLE):
        right = f"{lower}:{'///' if lower in _LOCAL_SCHEMES else '//'}{rest}"
        return _Fault(f"has {'one' if slashes else 'no'} slash after {scheme}: where two belong", right=right)
    if scheme != lower:
        return _Fault(f"has the scheme {scheme}, which is not in small letters", right=lower + text[len(scheme) :])
    if lower in _OTHER_NAMES:
        return _Fault(f"has the scheme {scheme}, for which Airflow has no filesystem", right=_OTHER_NAMES[lower] + text[len(scheme) :])
    return _fault_of_web_address(rest) if lower in ("http", "https") else None


def _fault_of_web_address(rest: str) -> _Fault:
    match = _WEB_ADDRESS.fullmatch(re.split(r"[?#]", rest)[0])
    if match is None:
        return _Fault("is a web address, not the URI of an object in a store")
    scheme = next(name for name in ("s3", "gs", "abfs") if match[name])
    return _Fault(
        "is a web address, not the URI of an object in a store",
        right=f"{scheme}://{match['bucket'] + '/' if match['bucket'] else ''}{match[scheme]}",
    )


def _fault_of_file(slashes: str, rest: str) -> _Fault | None:
    if slashes != "//":
        return _fault_of_path(slashes.removeprefix("//") + rest, before="file://")
    host, _, path = rest.partition("/")
    if host in ("localhost", "127.0.0.1") or "@" in host:
        return _Fault("names a host or a connection, but a file is always on the worker's own disk", right=f"file:///{path}")
    return _Fault(
        f"has two slashes before {host!r}, which makes that the name of a host",
        "write three, and then the whole path, as in destination='file:///data/events.jsonl'",
    )


def _fault_of_object(scheme: str, slashes: str, rest: str) -> _Fault | None:
    if slashes != "//" and scheme in EXTRAS:
        return _Fault("names no bucket between its second slash and its third", right=f"{scheme}://{rest}")
    authority, slash, key = rest.partition("/")
    conn_id, at, bucket = authority.rpartition("@")
    fault = None
    if at and not conn_id:
        fault = _Fault("names no connection before the @", "or name one there", f"{scheme}://{bucket}{slash}{key}")
    elif "@" in conn_id:
        fault = _Fault("has more than one @ before the bucket", "write it as in s3://my_conn@bucket/events.jsonl")
    elif bucket.endswith((".blob.core.windows.net", ".dfs.core.windows.net")):
        fault = _Fault(
            f"names the storage account {bucket}, which belongs into the connection",
            "where my_conn is the connection to that account" if conn_id else "write it as in abfs://my_conn@container/events.jsonl",
            f"{scheme}://my_conn@{conn_id}/{key}" if conn_id else None,
        )
    elif _HOLE not in authority and scheme in EXTRAS:
        fault = _fault_of_bucket(scheme, authority, bucket, key)
    return fault or _fault_of_path(slash + key, before=f"{scheme}:{slashes}{authority}")


def _fault_of_bucket(scheme: str, authority: str, bucket: str, key: str) -> _Fault | None:
    if not bucket:
        return _Fault("names no bucket", right=f"{scheme}://{authority}{key}" if "/" in key else None)
    if re.search(r"\s", authority) or (":" in bucket and not bucket.startswith("arn:")):
        return _Fault(
            f"has {bucket!r} where the name of the bucket belongs",
            "write it as in s3://my_conn@bucket/events.jsonl; the address of a server belongs into the connection (extra endpoint_url)",
        )
    if not key.strip("/"):
        return _Fault("names a bucket and no object in it", f"add the name of the object, as in {_EXAMPLES}")
    return None


def _fault_of_path(path: str, *, before: str) -> _Fault | None:
    """What is wrong with the part after the bucket, or with a path on local disk."""
    for sign, what in (("?", "a query or version id"), ("#", "a fragment")):
        if sign in path:
            return _Fault(f"has {what} in it, which belongs to no object", right=before + path.partition(sign)[0])
    if "//" in path:
        return _Fault("has a doubled slash in it, which a store takes as part of the name", right=before + re.sub("/+", "/", path))
    segments = path.split("/")
    if before in ("", "file://") and segments[1:2] == ["~"]:
        return _HOME
    if "." in segments or ".." in segments:
        right = _resolved(segments, before)
        return _Fault("has . or .. between slashes, which a store takes as a name", "" if right else "write the path without", right)
    if path.endswith("/"):
        return _Fault("ends in a slash, which names a folder", "or add the name of an object", before + path.rstrip("/"))
    return None


def _resolved(segments: list[str], before: str) -> str | None:
    kept: list[str] = []
    for segment in segments:
        if segment == ".." and kept and _HOLE in kept[-1]:
            return None  # a template may stand for several folders
        if segment == ".." and len(kept) > 1:
            kept.pop()
        elif segment not in (".", ".."):
            kept.append(segment)
    return before + "/".join(kept)
