"""The emulator's credentials: Basic as documented, and OAuth with tokens that expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.emulator.fake_api import FakeResponse, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AUTH_TYPES", "Authenticator", "md5_of"]

AUTH_TYPES: Final = ("basic", "oauth", "both")
_UNAUTHORIZED: Final = "Please check your username/password or authentication token"


def md5_of(password: str) -> str:
    """Return the lower-case hexadecimal md5 of a password, which is what Basic sends in its place."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


@dataclass(kw_only=True)
class Authenticator:
    """Checks credentials and issues tokens.

    Documented: Basic is ``base64(login:md5_hex(password))``; a key and a secret get a token with its time to live, and a wrong
    pair gets code 320001. The defaults of login and password are those of the documentation's checked example; all defaults are
    good for this emulator alone.

    :param auth_type: the accepted credentials: ``basic``, ``oauth`` or ``both``.
    :param login: the till's user name, for Basic. ``password``: its password, plain.
    :param client_key: for OAuth, with ``client_secret``.
    :param oauth_header: the header that carries a token.
    :param token_ttl: seconds for which a token is good.
    :param clock: returns seconds since the epoch.
    :raises ValueError: another ``auth_type``.
    """

    auth_type: str = "both"
    login: str = "store.server"
    password: str = field(default="server123", repr=False)
    client_key: str = "emulator-key"
    client_secret: str = field(default="emulator-secret", repr=False)
    oauth_header: str = "X-CAP-API-OAUTH-TOKEN"
    token_ttl: float = 3600.0
    clock: Callable[[], float] = field(default=lambda: 0.0, repr=False)

    def __post_init__(self) -> None:
        if self.auth_type not in AUTH_TYPES:
            message = f"auth_type={self.auth_type!r} is not possible; choose one of {', '.join(AUTH_TYPES)}"
            raise ValueError(message)
        self._lock = threading.RLock()
        self._ends: dict[str, float] = {}
        """By token, when it expires."""

    @property
    def basic_header(self) -> str:
        """The one value of ``Authorization`` that Basic accepts."""
        return "Basic " + base64.b64encode(f"{self.login}:{md5_of(self.password)}".encode()).decode()

    def check(self, header: Callable[[str], str | None]) -> FakeResponse | None:
        """Return None for a good credential, otherwise the refusal.

        :param header: looks up a header of the request by name, in any case.
        """
        token = header(self.oauth_header)
        if token is not None and self.auth_type != "basic":
            return self._check_token(token)
        basic = header("Authorization")
        if basic is not None and self.auth_type != "oauth" and hmac.compare_digest(basic.encode(), self.basic_header.encode()):
            return None
        return refusal(401, _UNAUTHORIZED)

    def issue(self, body: bytes) -> FakeResponse:
        """Answer ``POST /v3/oauth/token/generate``."""
        try:
            request: Any = json.loads(body)
        except ValueError:
            request = None
        pair = (request.get("key"), request.get("secret")) if isinstance(request, dict) else None
        if self.auth_type == "basic" or pair != (self.client_key, self.client_secret):
            refused = {"data": None, "errors": [{"code": 320001, "message": "Invalid client key and secret"}]}
            return FakeResponse(401, refused, {})
        with self._lock:
            token = f"emulator-token-{len(self._ends) + 1:04d}"
            self._ends[token] = self.clock() + self.token_ttl
        return FakeResponse(200, {"data": {"accessToken": token, "ttlSeconds": int(self.token_ttl)}, "errors": None}, {})

    def _check_token(self, token: str) -> FakeResponse | None:
        with self._lock:
            end = self._ends.get(token)
        if end is None:
            return refusal(401, _UNAUTHORIZED)
        return None if self.clock() < end else refusal(401, "Token is expired or invalid")
