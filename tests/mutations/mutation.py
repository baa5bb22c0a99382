"""One row of the tables: a place where the package could be broken, and the tests that have to notice."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mutation"]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A change of one line or a few.

    :param breaks: what is lost by it, in words.
    :param file: below ``airflow_provider_capillary/``.
    :param text: stands there exactly once.
    :param becomes: what is put in its place.
    :param caught_by: arguments of pytest: the tests of which at least one has to fail.
    """

    breaks: str
    file: str
    text: str
    becomes: str
    caught_by: tuple[str, ...]

    @property
    def path(self) -> str:
        """Below the top of the repository."""
        return f"airflow_provider_capillary/{self.file}"

    def applied_to(self, source: str) -> str:
        """The broken source.

        :raises ValueError: the text does not stand there exactly once, or the change is none.
        """
        if (found := source.count(self.text)) != 1:
            message = f"{self.path} has {found} times, not once: {self.text!r}"
            raise ValueError(message)
        if self.text == self.becomes:
            message = f"{self.path} would not change: {self.text!r}"
            raise ValueError(message)
        return source.replace(self.text, self.becomes)
