"""Compares two streams of records, both sorted by ``(startTime, id)``, in memory that does not grow with their number. No I/O.

.. code-block:: python

    for kind, key in differences(of_the_api, of_the_object):
        ...  # ("absent", (1758171830945, "ff97")): the API shows the record, and the object lacks it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from airflow_provider_capillary.export.json_lines import exact_fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_capillary.export.runs import Key

__all__ = ["Difference", "Entry", "Kind", "differences", "is_same_content", "paired", "shares_of"]

Entry: TypeAlias = "tuple[Key, bytes]"
"""The key of a record, ``(startTime, id)``, and its JSON."""

Kind = Literal["absent", "surplus", "changed"]
"""``absent``: only the API has the record. ``surplus``: only the object has it. ``changed``: both have it, with another content."""

Difference: TypeAlias = "tuple[Kind, Key]"


def differences(in_api: Iterable[Entry], in_object: Iterable[Entry]) -> Iterator[Difference]:
    """Each key whose record is on one side only, or differs between the sides, in ascending order.

    :param in_api: each key once, ascending; as ``in_object``.
    """
    for key, from_api, from_object in paired(in_api, in_object):
        if from_object is None:
            yield "absent", key
        elif from_api is None:
            yield "surplus", key
        elif not is_same_content(from_api, from_object):
            yield "changed", key


def paired(left: Iterable[Entry], right: Iterable[Entry]) -> Iterator[tuple[Key, bytes | None, bytes | None]]:
    """Each key of either side once, ascending, with the JSON of both sides; ``None`` for a side without the key.

    :param left: each key once, ascending; as ``right``.

    >>> list(paired([((1, "a"), b"x"), ((2, "b"), b"y")], [((2, "b"), b"z")]))
    [((1, 'a'), b'x', None), ((2, 'b'), b'y', b'z')]
    """
    lefts, rights = iter(left), iter(right)
    mine, theirs = next(lefts, None), next(rights, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine[0] < theirs[0]):
            assert mine is not None  # noqa: S101  # for the type checker
            yield mine[0], mine[1], None
            mine = next(lefts, None)
        elif mine is None or theirs[0] < mine[0]:
            yield theirs[0], None, theirs[1]
            theirs = next(rights, None)
        else:
            yield mine[0], mine[1], theirs[1]
            mine, theirs = next(lefts, None), next(rights, None)


def is_same_content(one: bytes, other: bytes) -> bool:
    r"""Whether two JSON objects have the same fields with the same values.

    The order of fields, blanks and the escapes inside of texts don't count, because parquet does not keep them. The digits of a number
    count, because objects keep them: ``1.5`` and ``1.50`` differ. A field that is ``null`` differs from one that is absent.

    >>> is_same_content(b'{"a": 1, "b": "\\u00e9"}', '{"b":"é","a":1}'.encode()), is_same_content(b'{"a":1.5}', b'{"a":1.50}')
    (True, False)
    """
    return one == other or _content_of(one) == _content_of(other)


def _content_of(line: bytes) -> Any:  # noqa: ANN401  # anything that compares
    try:
        return _comparable(exact_fields_of(line))
    except (ValueError, RecursionError):  # no JSON, or nested too deep to be looked into: then the text itself counts
        return line


def _comparable(value: Any) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(value, dict):
        return {name: _comparable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    if isinstance(value, float):  # each keeps its text; a column of parquet holds -0 as 0
        text = value.text  # type: ignore[attr-defined]  # of the decoder's own class
        return (_NUMBER, "0" if text == "-0" else text)
    if isinstance(value, int) and not isinstance(value, bool):
        return (_NUMBER, str(value))
    return (type(value), value)  # True is not 1


_NUMBER: Final = "number"


def shares_of(counts: list[int], most: int) -> list[int]:
    """How many items to list of each of several kinds, so that a frequent kind does not crowd out a rare one.

    :param counts: how many items each kind has.
    :param most: the sum that is allowed.

    >>> shares_of([1000, 3, 0, 60], 100)
    [49, 3, 0, 48]
    """
    shares = [0] * len(counts)
    left = most
    for done, place in enumerate(sorted(range(len(counts)), key=counts.__getitem__)):
        kinds_left = len(counts) - done
        shares[place] = min(counts[place], left // kinds_left)
        left -= shares[place]
    return shares
