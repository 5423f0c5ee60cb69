"""Requests: retries with growing pauses, checked addresses, bounded answers."""

import http.client
import http.server
import io
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from histosynth.core.errors import BadOption, FetchFailed
from histosynth.core.version import __version__
from histosynth.core.web import (
    RetryPolicy,
    TransientError,
    _Redirects,
    normal_endpoint,
    open_url,
    read_all,
    read_chunk,
)


def test_pauses_double_up_to_a_minute_and_the_last_try_fails():
    pauses = []
    policy = RetryPolicy(9, sleep=pauses.append)
    for _ in range(8):
        policy.wait("a file", TransientError("busy"))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    fault = TransientError("busy")
    assert (fault.status, fault.wait_s) == (0, 0)
    with pytest.raises(FetchFailed) as caught:
        policy.wait("a file", fault)
    assert caught.value.problem == "a file cannot be fetched: busy (tried 9 times)."
    assert caught.value.__cause__ is fault


def test_the_pause_that_the_server_requests_is_kept_up_to_a_minute():
    pauses = []
    policy = RetryPolicy(9, sleep=pauses.append)
    for wait_s in (7.0, 0.5, 500.0):
        policy.wait("a file", TransientError("busy", wait_s=wait_s))
    assert pauses == [7, 2, 60]


def test_progress_begins_the_count_anew():
    pauses = []
    policy = RetryPolicy(2, sleep=pauses.append)
    for _ in range(3):
        policy.wait("a file", TransientError("busy"))
        policy.renew()
    assert pauses == [1, 1, 1]


@pytest.mark.parametrize("tries", [0, -1])
def test_at_least_one_try_is_needed(tries):
    with pytest.raises(BadOption) as caught:
        RetryPolicy(tries)
    assert caught.value.problem == f"tries is {tries}, but must be 1 or more."
    with pytest.raises(FetchFailed, match="tried 1 times"):
        RetryPolicy(1).wait("a file", TransientError("busy"))


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("https://a.org", "https://a.org"),
        ("http://a.org:80/b/", "http://a.org:80/b"),
        ("HTTP://a.org:1/X/", "HTTP://a.org:1/X"),
    ],
)
def test_addresses_lose_their_last_slash(endpoint, address):
    assert normal_endpoint(endpoint) == address


@pytest.mark.parametrize(
    "endpoint",
    ["a.org", "ftp://a.org", "http://", "http://a.org:0", "http://a.org:x", "http://a b.org", ""],
)
def test_other_addresses_are_refused(endpoint):
    with pytest.raises(BadOption) as caught:
        normal_endpoint(endpoint)
    assert caught.value.problem == (
        f"endpoint is {endpoint!r}, but must be an http or https address."
    )


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the status that is the path; `/ok` with the headers that came; `/to/...`
    redirects; `/bare` is a status line alone, `/silent` nothing.
    """

    def do_GET(self):
        if self.path == "/ok":
            body = "\n".join(f"{name}: {value}" for name, value in self.headers.items()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/bare":
            self.wfile.write(b"HTTP/1.0 503 " + b"b" * 150 + b"\r\n\r\n")
        elif self.path == "/silent":
            self.close_connection = True
        else:
            path = urllib.parse.unquote(self.path[1:], "latin-1")
            status, _, retry_after = path.partition("/")
            self.send_response(int(status))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_is_read_whole_and_headers_are_sent(server):
    with open_url(f"{server}/ok", "a test", headers={"X-Own": "1"}) as answer:
        text = read_all(answer, 10_000, "a test").decode()
    assert f"User-Agent: histosynth/{__version__}\n" in text
    assert "Accept-Encoding: identity" in text
    assert "X-Own: 1" in text


def test_an_answer_that_is_too_long_is_refused(server):
    with open_url(f"{server}/ok", "a test") as answer:
        length = int(answer.headers["Content-Length"])
        assert len(read_all(answer, length, "a test")) == length
    with (
        open_url(f"{server}/ok", "a test") as answer,
        pytest.raises(FetchFailed) as caught,
    ):
        read_all(answer, length - 1, "a test")
    assert str(caught.value) == (
        f"a test cannot be fetched: the answer has more than {length - 1} bytes. "
        "Check the endpoint."
    )


def test_the_limit_of_an_answer_is_shown_with_separators_and_longer_answers_come_in_chunks():
    class Answer:
        def read1(self, max_bytes):
            assert max_bytes >= 3
            return b"abc"

    with pytest.raises(FetchFailed, match="more than 1,234,567 bytes"):
        read_all(Answer(), 1_234_567, "a test")


def test_a_chunk_has_no_more_bytes_than_requested(server):
    with open_url(f"{server}/ok", "a test") as answer:
        assert len(read_chunk(answer, 3)) == 3


def test_a_server_may_be_silent_for_a_minute_unless_stated_otherwise(server, monkeypatch):
    timeouts = []
    connect = socket.create_connection

    def recording(address, timeout, *more):
        timeouts.append(timeout)
        return connect(address, timeout, *more)

    monkeypatch.setattr("socket.create_connection", recording)
    open_url(f"{server}/ok", "a test").close()
    open_url(f"{server}/ok", "a test", timeout_s=7.0).close()
    assert timeouts == [60.0, 7.0]


@pytest.mark.parametrize("status", [408, 416, 425, 429, 500, 503])
def test_busy_servers_may_be_tried_again(server, status):
    with pytest.raises(TransientError, match=rf"^the server answered {status} ") as caught:
        open_url(f"{server}/{status}", "a test")
    assert caught.value.status == status
    assert caught.value.wait_s == 0


@pytest.mark.parametrize("status", [401, 403, 404, 410, 499])
def test_other_refusals_are_final(server, status):
    with pytest.raises(FetchFailed) as caught:
        open_url(f"{server}/{status}", "a test")
    reason = http.client.responses.get(status, "")
    assert str(caught.value) == (
        f"a test cannot be fetched: the server answered {status} {reason}. "
        "Check that it is still there and open to all."
    )


def test_long_reasons_of_a_server_are_cut_and_headers_may_be_absent(server):
    with pytest.raises(TransientError) as caught:
        open_url(f"{server}/bare", "a test")
    assert str(caught.value) == "the server answered 503 " + "b" * 100
    assert caught.value.wait_s == 0


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("7", 7.0), ("99999", 99999.0), ("100000", 0.0), ("soon", 0.0), ("%B2", 0.0)],
)
def test_pauses_in_seconds_are_read(server, header, wait_s):
    with pytest.raises(TransientError) as caught:
        open_url(f"{server}/503/{header}", "a test")
    assert caught.value.wait_s == wait_s


def test_redirects_stay_on_the_web(server):
    with open_url(f"{server}/to//ok", "a test") as answer:
        assert answer.status == 200
    with pytest.raises(FetchFailed) as caught:
        open_url(f"{server}/to/ftp://127.0.0.1/a", "a test")
    assert str(caught.value) == (
        "a test cannot be fetched: the server answered 302 a redirect to ftp. "
        "Check that it is still there and open to all."
    )


def redirect(start, target):
    answer = io.BytesIO()
    headers = http.client.HTTPMessage()
    request = urllib.request.Request(start)
    arguments = (request, answer, 302, "Found", headers, target)
    return answer, headers, _Redirects().redirect_request(*arguments)


@pytest.mark.parametrize(
    ("start", "target"),
    [
        ("http://a.org", "http://b.org/c"),
        ("http://a.org", "https://b.org/c"),
        ("https://a.org", "https://b.org/c"),
    ],
)
def test_redirects_from_http_and_between_encrypted_addresses_are_followed(start, target):
    _, _, request = redirect(start, target)
    assert request.full_url == target


def test_a_redirect_to_an_address_without_encryption_is_refused():
    with pytest.raises(urllib.error.HTTPError) as caught:
        redirect("https://a.org", "http://b.org/c")
    error = caught.value
    assert (error.url, error.code, error.reason) == ("http://b.org/c", 302, "a redirect to http")
    assert isinstance(error.fp, io.BytesIO) and isinstance(error.headers, http.client.HTTPMessage)
    error.close()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (OSError("no route"), "the server cannot be reached: no route"),
        (ssl.SSLError("bad version"), "the server cannot be reached: ('bad version',)"),
    ],
)
def test_a_server_that_cannot_be_reached_may_be_tried_again(monkeypatch, fault, sentence):
    def refuse(*address, **more):
        raise fault

    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(TransientError) as caught:
        open_url("http://127.0.0.1/", "a test")
    assert str(caught.value) == sentence


def test_a_certificate_that_is_not_valid_is_final(monkeypatch):
    def refuse(*address, **more):
        raise ssl.SSLCertVerificationError(1, "self-signed certificate")

    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(FetchFailed) as caught:
        open_url("http://127.0.0.1/", "a test")
    assert caught.value.problem.startswith(
        "a test cannot be fetched: the server's certificate is not valid: "
    )
    assert "self-signed certificate" in caught.value.problem
    assert caught.value.remedy == "Check the endpoint."


def test_a_server_that_is_not_there_may_be_tried_again():
    with pytest.raises(TransientError, match=r"^the server cannot be reached: "):
        open_url("http://127.0.0.1:1/", "a test", timeout_s=5)


def test_a_server_that_hangs_up_may_be_tried_again(server):
    with pytest.raises(TransientError) as caught:
        open_url(f"{server}/silent", "a test")
    assert str(caught.value) == (
        "the connection broke: Remote end closed connection without response"
    )


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (http.client.IncompleteRead(b""), "the connection broke: IncompleteRead(0 bytes read)"),
        (TimeoutError("timed out"), "the connection broke: timed out"),
        (ConnectionResetError(), "the connection broke: ConnectionResetError"),
        (ValueError("read of closed file"), "the connection broke: read of closed file"),
    ],
)
def test_a_broken_connection_may_be_tried_again(fault, sentence):
    class Broken:
        def read1(self, max_bytes):
            raise fault

    with pytest.raises(TransientError) as caught:
        read_chunk(Broken(), 10)
    assert str(caught.value) == sentence
    assert caught.value.__cause__ is fault
