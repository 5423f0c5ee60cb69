"""Requests over http and https: checked addresses, bounded answers, patience with what may pass."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import BadOption, FetchFailed
from .version import __version__

MAX_WAIT_S = 60.0
_MAY_PASS = {408, 416, 425, 429}
"""Answers below 500 that another try may mend; 416 once the part is gone."""


class TransientError(Exception):
    """A fault that another try may mend."""

    def __init__(
        self,
        reason: str,
        *,
        status: int = 0,
        wait_s: float = 0.0,
    ) -> None:
        self.status = status
        self.wait_s = wait_s
        super().__init__(reason)


@dataclass
class RetryPolicy:
    """How often something is tried, and how long it rests between: 1 s, 2 s, 4 s and so on."""

    tries: int
    sleep: Callable[[float], None] = time.sleep
    spent: int = 0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise BadOption("tries", self.tries, "1 or more")

    def wait(self, what: str, fault: TransientError) -> None:
        """Rest before the next try.

        Raises:
            FetchFailed: that was the last.
        """
        self.spent += 1
        if self.spent >= self.tries:
            raise FetchFailed(what, f"{fault} (tried {self.spent} times)") from fault
        self.sleep(min(max(2.0 ** (self.spent - 1), fault.wait_s), MAX_WAIT_S))

    def renew(self) -> None:
        """Something came: count from the start."""
        self.spent = 0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows http(s) only, and never from https to http."""

    def redirect_request(self, *args: Any, **more: Any) -> urllib.request.Request | None:
        request, answer, code, _, headers, url = args
        scheme = urllib.parse.urlsplit(url).scheme.lower()
        if scheme not in ("http", "https") or (request.type == "https" and scheme != "https"):
            raise urllib.error.HTTPError(
                url,
                code,
                f"a redirect to {scheme}",
                headers,
                answer,
            )
        return super().redirect_request(*args, **more)


def normal_endpoint(endpoint: str) -> str:
    """An address without its last slash.

    Raises:
        BadOption: it is no http(s) address of a host.
    """
    try:
        parts = urllib.parse.urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(sign <= " " for sign in endpoint):
        raise BadOption("endpoint", repr(endpoint), "an http or https address")
    return endpoint.rstrip("/")


def open_url(
    url: str,
    what: str,
    *,
    headers: dict[str, str] | None = None,
    timeout_s: float = 60.0,
) -> http.client.HTTPResponse:
    """The beginning of an answer; the caller closes it.

    Args:
        url: on a checked endpoint.
        what: whom the request is for, as errors say it.
        headers: more of them.
        timeout_s: how long the server may stay silent, in s.

    Raises:
        TransientError: another try may do.
        FetchFailed: another try would not.
    """
    known = {"User-Agent": f"histosynth/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=known | (headers or {}))  # noqa: S310 - checked
    try:
        answer: Any = urllib.request.build_opener(_Redirects()).open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"the server says {error.code} {str(error.reason)[:100]}"
        if error.code in _MAY_PASS or error.code >= 500:
            raise TransientError(
                reason, status=error.code, wait_s=_seconds(error.headers)
            ) from error
        raise FetchFailed(what, reason, "Check that it is still there and open to all.") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise FetchFailed(
                what,
                f"the server's certificate is not valid: {error.reason}",
                "Check the endpoint.",
            ) from error
        raise TransientError(f"the server cannot be reached: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"the connection broke: {error or type(error).__name__}") from error
    return answer  # type: ignore[no-any-return]


def read_chunk(answer: http.client.HTTPResponse, most: int) -> bytes:
    """What has come, up to `most` bytes; nothing at the end.

    Raises:
        TransientError: the connection broke.
    """
    try:
        return answer.read1(most)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransientError(f"the connection broke: {error or type(error).__name__}") from error


def read_all(answer: http.client.HTTPResponse, most: int, what: str) -> bytes:
    """A whole answer.

    Raises:
        TransientError: the connection broke.
        FetchFailed: it has more than `most` bytes.
    """
    whole = bytearray()
    while some := read_chunk(answer, 1 << 16):
        whole += some
        if len(whole) > most:
            raise FetchFailed(
                what,
                f"the answer has more than {most:,} bytes",
                "Check the endpoint.",
            )
    return bytes(whole)


def _seconds(headers: Any) -> float:
    """What the server asks for before the next try, where it says so in seconds."""
    said = str(headers.get("Retry-After", "")) if headers else ""
    return float(said) if said.isascii() and said.isdigit() and len(said) < 6 else 0.0
