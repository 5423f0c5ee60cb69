"""Requests: retries with growing pauses, checked addresses, bounded answers."""

import http.client
import http.server
import threading

import pytest

from histosynth.core.errors import BadOption, FetchFailed
from histosynth.core.web import (
    RetryPolicy,
    TransientError,
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
    with pytest.raises(FetchFailed, match=r"a file cannot be fetched: busy \(tried 9 times\)"):
        policy.wait("a file", TransientError("busy"))


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
    with pytest.raises(BadOption, match="1 or more"):
        RetryPolicy(tries)
    with pytest.raises(FetchFailed, match="tried 1 times"):
        RetryPolicy(1).wait("a file", TransientError("busy"))


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("https://a.org", "https://a.org"),
        ("http://a.org:80/b/", "http://a.org:80/b"),
    ],
)
def test_addresses_lose_their_last_slash(endpoint, address):
    assert normal_endpoint(endpoint) == address


@pytest.mark.parametrize(
    "endpoint",
    ["a.org", "ftp://a.org", "http://", "http://a.org:0", "http://a.org:x", "http://a b.org", ""],
)
def test_other_addresses_are_refused(endpoint):
    with pytest.raises(BadOption, match="an http or https address"):
        normal_endpoint(endpoint)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the status that is the path; `/ok` with its own headers; `/to/...` redirects."""

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
        else:
            status, _, retry_after = self.path[1:].partition("/")
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
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_is_read_whole_and_headers_are_sent(server):
    with open_url(f"{server}/ok", "a test", headers={"X-Own": "1"}) as answer:
        text = read_all(answer, 10_000, "a test").decode()
    assert "User-Agent: histosynth/" in text
    assert "Accept-Encoding: identity" in text
    assert "X-Own: 1" in text


def test_an_answer_that_is_too_long_is_refused(server):
    with open_url(f"{server}/ok", "a test") as answer:
        length = int(answer.headers["Content-Length"])
        assert len(read_all(answer, length, "a test")) == length
    with (
        open_url(f"{server}/ok", "a test") as answer,
        pytest.raises(FetchFailed, match="more than"),
    ):
        read_all(answer, length - 1, "a test")


@pytest.mark.parametrize("status", [408, 416, 425, 429, 500, 503])
def test_busy_servers_may_be_tried_again(server, status):
    with pytest.raises(TransientError, match=f"the server answered {status}") as caught:
        open_url(f"{server}/{status}", "a test")
    assert caught.value.status == status
    assert caught.value.wait_s == 0


@pytest.mark.parametrize("status", [401, 403, 404, 410, 499])
def test_other_refusals_are_final(server, status):
    with pytest.raises(FetchFailed, match=f"the server answered {status}"):
        open_url(f"{server}/{status}", "a test")


@pytest.mark.parametrize(
    ("header", "wait_s"), [("7", 7.0), ("99999", 99999.0), ("100000", 0.0), ("soon", 0.0)]
)
def test_pauses_in_seconds_are_read(server, header, wait_s):
    with pytest.raises(TransientError) as caught:
        open_url(f"{server}/503/{header}", "a test")
    assert caught.value.wait_s == wait_s


def test_redirects_stay_on_the_web(server):
    with open_url(f"{server}/to//ok", "a test") as answer:
        assert answer.status == 200
    with pytest.raises(FetchFailed, match="a redirect to ftp"):
        open_url(f"{server}/to/ftp://127.0.0.1/a", "a test")


def test_a_server_that_is_not_there_may_be_tried_again():
    with pytest.raises(TransientError, match="cannot be reached"):
        open_url("http://127.0.0.1:1/", "a test", timeout_s=5)


def test_a_broken_connection_may_be_tried_again():
    class Broken:
        def read1(self, max_bytes):
            raise http.client.IncompleteRead(b"")

    with pytest.raises(TransientError, match="the connection broke: IncompleteRead"):
        read_chunk(Broken(), 10)
