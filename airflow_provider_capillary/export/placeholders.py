"""The placeholders of a destination: ``{interval_start:%Y-%m-%d}`` and ``{interval_end:%Y-%m-%d}``.

They are filled in from the interval that the run exports, so they exist in every run, and the path always names the day that the object
holds. Airflow has rendered its templates before: ``{{ ... }}`` belongs to Airflow, ``{...}`` to this package. Any other brace is refused,
because query engines read ``{a,b}`` as a pattern.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary._airflow import with_path
from airflow_provider_capillary.errors import ConfigurationError, DestinationError
from airflow_provider_capillary.export.destination import masked
from airflow_provider_capillary.validation import is_template

if TYPE_CHECKING:
    from datetime import tzinfo

    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_capillary.export.interval import Interval

__all__ = ["check_placeholders", "fill_placeholders", "zone_named"]

_NAMES: Final = ("interval_start", "interval_end")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_DIRECTIVE: Final = re.compile(r"%(.?)", re.DOTALL)
_IN_JINJA: Final = re.compile(r"\{\{-?\s*(interval_start|interval_end)\b")
_AS_BLOCK: Final = re.compile(r"\{%[YymdHMSfjGVuwUWzZ](?![A-Za-z])")

_DIRECTIVES: Final = frozenset("YymdHMSfjGVuwUWzZ")
"""The directives of ``strftime`` that give the same text on every platform and in every locale."""

_REFUSED: Final = {
    **dict.fromkeys("aAbBhcxXpPr+", "depends on the worker's locale"),
    **dict.fromkeys("Il", "names two hours of a day alike; the hour from 00 to 23 is %H"),
    "s": "is written in the worker's own zone",
    "%": "would put a percent sign into the path",
}

# A directive, the directives of which it needs one as company to name one time only, and what it stands for.
_NEEDS: Final = (
    ("m", "Yy", "the month"),
    ("d", "m", "the day of the month"),
    ("j", "Yy", "the day of the year"),
    ("V", "G", "the ISO week"),
    ("G", "V", "the year of the ISO week"),
    ("UW", "Yy", "the week of the year"),
    ("uw", "VUW", "the day of the week"),
    ("H", "djuw", "the hour"),
    ("M", "H", "the minute"),
    ("S", "M", "the second"),
    ("f", "S", "the microsecond"),
)
_EXAMPLE: Final = "{interval_start:%Y-%m-%d}"
_LONGEST_SHOWN: Final = 200


def check_placeholders(destination: ObjectStoragePath | str, *, rendered: bool) -> None:
    """Check the placeholders as far as the text alone decides.

    :param destination: a URI or an ``ObjectStoragePath``.
    :param rendered: whether Airflow has rendered its templates; if not, only the text outside of them is checked.
    :raises DestinationError: an unknown placeholder; one without a format; a format that gives two times the same name, or another name on
        another worker; a brace that belongs to no placeholder. The error names it and shows the right spelling.
    """
    text = str(destination)
    for pattern in () if rendered else (_IN_JINJA, _AS_BLOCK):
        if found := pattern.search(text):
            raise DestinationError(
                f"destination={_shown(text)} has {found[0]!r}, which jinja would read; a placeholder has single braces",
                hint=f"write it as in {_EXAMPLE}",
            )
    pieces = [text] if rendered else _outside_jinja(text)
    directives: set[str] = set()
    for piece in pieces:
        for found in _BRACES.finditer(piece):
            directives |= _directives_of(found[1], text)
        if left := re.search(r"[{}]", _BRACES.sub("", piece)):
            raise DestinationError(
                f"destination={_shown(text)} has a {left[0]!r} that belongs to no placeholder",
                hint=f"a placeholder is written as in {_EXAMPLE}, without a template in it; the name of an object cannot have braces",
            )
    # A template may add what tells the times apart.
    if directives and not rendered and pieces == [text]:
        _check_that_names_are_unique(directives, text)


def fill_placeholders(destination: ObjectStoragePath | str, interval: Interval, zone: str) -> ObjectStoragePath | str:
    """The destination of one interval; the destination itself where it has no placeholders.

    ``{interval_end:...}`` is the first moment after the interval: for the 17th it is 00:00 on the 18th.

    :param destination: rendered.
    :param zone: the IANA name of the zone in which the path names days and hours.
    :raises DestinationError: as :func:`check_placeholders`.

    >>> from datetime import UTC, datetime
    >>> from airflow_provider_capillary.export.interval import Interval
    >>> day = Interval(start=datetime(2025, 9, 16, 23, tzinfo=UTC), end=datetime(2025, 9, 17, 23, tzinfo=UTC), source="")
    >>> fill_placeholders("s3://my_aws_conn@bucket/dt={interval_start:%Y-%m-%d}/events.jsonl", day, "Europe/London")
    's3://my_aws_conn@bucket/dt=2025-09-17/events.jsonl'
    """
    text = str(destination)
    if "{" not in text and "}" not in text:
        return destination
    check_placeholders(text, rendered=True)
    tz = zone_named(zone)
    moments = {"interval_start": interval.start, "interval_end": interval.end}

    def fill(found: re.Match[str]) -> str:
        name, _, pattern = found[1].partition(":")
        try:
            moment = moments[name].astimezone(tz)
        except OverflowError:
            raise DestinationError(
                f"{found[0]!r} of destination={_shown(text)} lies outside the years that exist in path_timezone={zone!r}",
                hint='use path_timezone="UTC"',
            ) from None
        return moment.strftime(pattern)

    filled = _BRACES.sub(fill, text)
    return filled if isinstance(destination, str) else with_path(destination, filled)


def zone_named(value: object) -> tzinfo:
    """The zone of ``path_timezone``.

    :raises ConfigurationError: the value is not the IANA name of a zone; the error names the nearest one.
    """
    import pendulum  # has the zones with it, where a slim container image has none

    if isinstance(value, str):
        # A folder of zones raises OSError, a path out of the database ValueError, an unknown name KeyError.
        with suppress(OSError, ValueError, KeyError):
            return pendulum.timezone(value)
    raise ConfigurationError(
        f"path_timezone={value!r} (of type {type(value).__name__}) is not the IANA name of a time zone",
        hint=f"write it as in path_timezone={_nearest_zone(value)!r}",
    )


def _directives_of(placeholder: str, text: str) -> set[str]:
    """The directives of one placeholder's format, each of them allowed."""
    shown = f"{{{placeholder}}}"
    name, _, pattern = placeholder.partition(":")
    if name not in _NAMES:
        raise DestinationError(
            f"destination={_shown(text)} has {shown!r}, which is no placeholder",
            hint=f"there are {{{_NAMES[0]}:...}} and {{{_NAMES[1]}:...}}, each with a format, as in {_EXAMPLE}",
        )
    directives = [found[1] for found in _DIRECTIVE.finditer(pattern)]
    if not directives:
        what = f"the format {pattern!r}, which is the same at all times" if pattern else "no format"
        raise DestinationError(
            f"destination={_shown(text)} has {shown!r} with {what}", hint=f"give the time a format, as in {{{name}:%Y-%m-%d}}"
        )
    for directive in directives:
        if directive not in _DIRECTIVES:
            why = _REFUSED.get(directive, "is not written alike on every platform")
            raise DestinationError(
                f"destination={_shown(text)} has {shown!r}, whose %{directive} {why}",
                hint=f"use {', '.join('%' + each for each in 'YmdHMSfjGVuUWzZ')}, as in {_EXAMPLE}",
            )
    return set(directives)


def _check_that_names_are_unique(directives: set[str], text: str) -> None:
    for subjects, needed, what in _NEEDS:
        for subject in subjects:
            if subject in directives and not directives & set(needed):
                others = " or ".join(f"%{each}" for each in needed)
                hint = "; the month is %m" if subject == "M" else ""
                raise DestinationError(
                    f"destination={_shown(text)} has %{subject}, {what}, without {others}: later runs would write the same object",
                    hint=f"add {others}{hint}, as in {_EXAMPLE}",
                )


def _outside_jinja(text: str) -> list[str]:
    """The plain text of a template, piece by piece."""
    if not is_template(text):
        return [text]
    import jinja2

    try:
        return [value for _, kind, value in jinja2.Environment(autoescape=False).lex(text) if kind == "data"]  # noqa: S701  # nothing is rendered
    except jinja2.TemplateSyntaxError:
        return []  # Airflow reports it when it renders


def _nearest_zone(value: object) -> str:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    nearest = get_close_matches(str(getattr(value, "name", value)), sorted(available_timezones()), n=1)
    return nearest[0] if nearest else "Europe/London"


def _shown(text: str) -> str:
    text = masked(text)
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")
