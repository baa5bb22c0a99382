"""The package's ``Emulator`` over the bench's ``FakeApi``, with more ways for a token to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_capillary.emulator import Emulator as PackageEmulator
from airflow_provider_capillary.emulator.auth import Authenticator as PackageAuthenticator
from airflow_provider_capillary.emulator.fake_api import FakeResponse, refusal
from bench.fake_api import FakeApi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.fake_api import Late

__all__ = ["Authenticator", "Emulator"]

TOKEN_ENDS: Final = ("401", "498", "body_401", "body_498")


@dataclass(kw_only=True)
class Authenticator(PackageAuthenticator):
    """The package's, and these.

    :param token_requests: a token is revoked after so many requests, before its time.
    :param token_end: how the end of a token shows: as the status, or as a code in a body with status 200 and ``"success": "true"``.
    :param refused_key_status: the status beside code 320001; no page gives it.
    """

    token_requests: int | None = None
    token_end: str = "401"
    refused_key_status: int = 401

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_end not in TOKEN_ENDS:
            message = f"token_end={self.token_end!r} is not possible; choose one of {', '.join(TOKEN_ENDS)}"
            raise ValueError(message)
        self._uses: dict[str, int] = {}

    def issue(self, body: bytes) -> FakeResponse:
        response = super().issue(body)
        return response if response.status == 200 else response._replace(status=self.refused_key_status)

    def _check_token(self, token: str) -> FakeResponse | None:
        with self._lock:
            if token not in self._ends:
                return super()._check_token(token)
            self._uses[token] = uses = self._uses.get(token, 0) + 1
            if self.clock() < self._ends[token] and (self.token_requests is None or uses <= self.token_requests):
                return None
        message = "Token is expired or invalid"
        code = int(self.token_end[-3:])
        if self.token_end.startswith("body"):
            body = {"success": "true", "data": None, "warnings": [], "errors": [{"status": False, "code": code, "message": message}]}
            return FakeResponse(200, body, {})
        return refusal(code, message)


class Emulator(PackageEmulator):
    """The package's emulator with all options of the bench."""

    _api_class: ClassVar[type[FakeApi]] = FakeApi
    _authenticator_class: ClassVar[type[Authenticator]] = Authenticator

    fake_api: FakeApi

    def add(self, record: Mapping[str, Any], *, late: Late | None = None) -> None:
        """Add one record; ``late`` says when it begins to show, left out: at once."""
        self.fake_api.add(record, late=late)
