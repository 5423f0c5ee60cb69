"""Requests over http and https: checked addresses, bounded answers, retries of transient faults."""

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

from .errors import BadOption, FetchFailed, first_line
from .version import __version__

MAX_WAIT_S = 60.0
"""Longest pause between two tries."""
_TRANSIENT_STATUS = {408, 416, 425, 429}
"""Status codes below 500 that another try may resolve; 416 once the partial file is deleted."""
_CHUNK_BYTES = 1 << 16
PACE_S = 120.0
MIN_BYTES = 12_000
"""A server that sends fewer bytes in `PACE_S` is taken for one that sends none: a byte a minute
would keep a fetch waiting for good."""


class TransientError(Exception):
    """A fault that another try may resolve."""

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
    """How often something is tried, with pauses of 1 s, 2 s, 4 s and so on.

    Attributes:
        tries: in a row without progress.
        sleep: waits so many seconds.
        spent: tries since the last progress.
    """

    tries: int
    sleep: Callable[[float], None] = time.sleep
    spent: int = 0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise BadOption("tries", self.tries, "1 or more")

    def wait(self, what: str, fault: TransientError) -> None:
        """Pause before the next try.

        Raises:
            FetchFailed: that was the last.
        """
        self.spent += 1
        if self.spent >= self.tries:
            raise FetchFailed(what, f"{fault} (tried {self.spent} times)") from fault
        pause_s = 2.0 ** (self.spent - 1)
        pause_s = max(pause_s, fault.wait_s)
        self.sleep(min(pause_s, MAX_WAIT_S))

    def renew(self) -> None:
        """Data arrived: count from the start."""
        self.spent = 0


class Pace:
    """Measures how fast an answer comes."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._received = 0

    def add(self, count: int) -> None:
        """So many bytes came.

        Raises:
            TransientError: too few came of late.
        """
        self._received += count
        now = time.monotonic()
        if now - self._since < PACE_S:
            return
        if self._received < MIN_BYTES:
            raise TransientError(
                f"the server sent {self._received:,} bytes in {PACE_S:g} s, and {MIN_BYTES:,} are "
                "the least"
            )
        self._since = now
        self._received = 0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows http(s) only, and never from https to http."""

    def redirect_request(self, *args: Any, **more: Any) -> urllib.request.Request | None:
        request, answer, code, _, headers, url = args
        scheme = urllib.parse.urlsplit(url).scheme
        is_downgrade = request.type == "https" and scheme != "https"
        if scheme not in ("http", "https") or is_downgrade:
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
    has_blank = any(character <= " " for character in endpoint)
    if has_blank or not _is_http_address(endpoint):
        raise BadOption("endpoint", repr(endpoint), "an http or https address")
    return endpoint.rstrip("/")


def _is_http_address(endpoint: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    return bool(parts.hostname) and port != 0


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
        what: purpose of the request, for messages.
        headers: more of them.
        timeout_s: how long the server may send nothing, in s.

    Raises:
        TransientError: another try may succeed.
        FetchFailed: another try would not.
    """
    all_headers = {"User-Agent": f"histosynth/{__version__}", **(headers or {})}
    request = urllib.request.Request(url, headers=all_headers)  # noqa: S310 - checked
    opener = urllib.request.build_opener(_Redirects())
    try:
        answer: Any = opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise _of_status(error, what) from error
    except urllib.error.URLError as error:
        raise _of_connection(error, what) from error
    except (OSError, http.client.HTTPException) as error:
        raise _broken_connection(error) from error
    return answer  # type: ignore[no-any-return]


def _of_status(error: urllib.error.HTTPError, what: str) -> TransientError | FetchFailed:
    reason = f"the server answered {error.code} {str(error.reason)[:100]}"
    if error.code in _TRANSIENT_STATUS or error.code >= 500:
        wait_s = _retry_after_s(error.headers)
        return TransientError(reason, status=error.code, wait_s=wait_s)
    return FetchFailed(what, reason, "Check that it is still there and open to all.")


def _of_connection(error: urllib.error.URLError, what: str) -> TransientError | FetchFailed:
    if isinstance(error.reason, ssl.SSLCertVerificationError):
        return FetchFailed(
            what,
            f"the server's certificate is not valid: {error.reason}",
            "Check the endpoint.",
        )
    return TransientError(f"the server cannot be reached: {error.reason}")


def _broken_connection(error: Exception) -> TransientError:
    return TransientError(f"the connection broke: {first_line(error)}")


def read_chunk(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """The bytes that have arrived, up to `max_bytes`; empty at the end.

    Raises:
        TransientError: the connection broke.
    """
    try:
        return answer.read1(max_bytes)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _broken_connection(error) from error


def read_all(
    answer: http.client.HTTPResponse,
    max_bytes: int,
    what: str,
) -> bytes:
    """A whole answer.

    Raises:
        TransientError: the connection broke.
        FetchFailed: it has more than `max_bytes` bytes.
    """
    content = bytearray()
    pace = Pace()
    while chunk := read_chunk(answer, _CHUNK_BYTES):
        content += chunk
        pace.add(len(chunk))
        if len(content) > max_bytes:
            raise FetchFailed(
                what,
                f"the answer has more than {max_bytes:,} bytes",
                "Check the endpoint.",
            )
    return bytes(content)


def _retry_after_s(headers: Any) -> float:
    """The pause that the server requests before the next try, where it states it in seconds."""
    if not headers:
        return 0.0
    text = str(headers.get("Retry-After"))
    is_number = text.isascii() and text.isdigit() and len(text) < 6
    return float(text) if is_number else 0.0
