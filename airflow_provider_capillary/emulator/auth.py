"""Who may ask the stand-in: Basic as documented, and OAuth with tokens that end."""

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

__all__ = ["AUTH_TYPES", "TOKEN_ENDS", "Authenticator", "md5_of"]

AUTH_TYPES: Final = ("basic", "oauth", "both")
TOKEN_ENDS: Final = ("401", "498", "body_401", "body_498")
_UNAUTHORIZED: Final = "Please check your username/password or authentication token"


def md5_of(password: str) -> str:
    """Return the lower-case hexadecimal md5 of a password, which is what Basic sends in its place."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


@dataclass(kw_only=True)
class Authenticator:
    """Checks credentials and hands out tokens.

    Documented: Basic is ``base64(login:md5_hex(password))``; a token comes from a key and a secret, with its time
    to live, and a wrong pair is code 320001. ServerOptions: everything below ``oauth_header``. The defaults of login and
    password are the pair of the documentation's checked example and open nothing but this stand-in.

    :param auth_type: which of the two are accepted: ``basic``, ``oauth`` or ``both``.
    :param token_ttl: seconds for which a token is good, and is said to be.
    :param token_requests: a token is revoked after so many requests, without a word.
    :param token_end: how the end of a token shows: as the status, or as a code in a body with status 200 and ``"success": "true"``.
    :param refused_key_status: the status beside code 320001; no page gives it.
    """

    auth_type: str = "both"
    login: str = "store.server"
    password: str = field(default="server123", repr=False)
    client_key: str = "emulator-key"
    client_secret: str = field(default="emulator-secret", repr=False)
    oauth_header: str = "X-CAP-API-OAUTH-TOKEN"
    token_ttl: float = 3600.0
    token_requests: int | None = None
    token_end: str = "401"  # noqa: S105  # how a token ends, no token
    refused_key_status: int = 401
    clock: Callable[[], float] = field(default=lambda: 0.0, repr=False)

    def __post_init__(self) -> None:
        for name, choices in (("auth_type", AUTH_TYPES), ("token_end", TOKEN_ENDS)):
            if (value := getattr(self, name)) not in choices:
                message = f"{name}={value!r} is not possible; choose one of {', '.join(choices)}"
                raise ValueError(message)
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[float, int]] = {}

    @property
    def basic_header(self) -> str:
        """The one value of ``Authorization`` that Basic accepts."""
        return "Basic " + base64.b64encode(f"{self.login}:{md5_of(self.password)}".encode()).decode()

    def check(self, header: Callable[[str], str | None]) -> FakeResponse | None:
        """Return None for a good credential, else the answer that refuses it.

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
        """FakeResponse ``POST /v3/oauth/token/generate``."""
        try:
            asked: Any = json.loads(body)
        except ValueError:
            asked = None
        pair = (asked.get("key"), asked.get("secret")) if isinstance(asked, dict) else None
        if self.auth_type == "basic" or pair != (self.client_key, self.client_secret):
            refused = {"data": None, "errors": [{"code": 320001, "message": "Invalid client key and secret"}]}
            return FakeResponse(self.refused_key_status, refused, {})
        with self._lock:
            token = f"emulator-token-{len(self._tokens) + 1:04d}"
            self._tokens[token] = (self.clock() + self.token_ttl, 0)
        return FakeResponse(200, {"data": {"accessToken": token, "ttlSeconds": int(self.token_ttl)}, "errors": None}, {})

    def _check_token(self, token: str) -> FakeResponse | None:
        with self._lock:
            if token not in self._tokens:
                return refusal(401, _UNAUTHORIZED)
            end, used = self._tokens[token]
            if self.clock() < end and (self.token_requests is None or used < self.token_requests):
                self._tokens[token] = (end, used + 1)
                return None
        message = "Token is expired or invalid"
        code = int(self.token_end[-3:])
        if self.token_end.startswith("body"):
            body = {"success": "true", "data": None, "warnings": [], "errors": [{"status": False, "code": code, "message": message}]}
            return FakeResponse(200, body, {})
        return refusal(code, message)
