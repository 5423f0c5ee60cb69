"""`serve.py` of the page: files of three folders, their headers, and nothing else."""

import http.client
import socket
import threading

import pytest

serve = pytest.importorskip("serve")


@pytest.fixture
def get(tmp_path):
    """A function: path => status, headers, body."""
    for name in ("model", "runtime"):
        (tmp_path / name).mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    (tmp_path / "model" / ".hidden").write_text("no")
    (tmp_path / "model" / "below").mkdir()
    (tmp_path / "model" / "below" / "a.json").write_text("no")
    (tmp_path / "runtime" / "a.mjs").write_text("1;")
    (tmp_path / "runtime" / "a.wasm").write_bytes(b"wasm")
    (tmp_path / "secret.txt").write_text("no")
    server = serve.make_server(tmp_path / "model", tmp_path / "runtime")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def fetched(path):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = (answer.status, answer.headers, answer.read())
        connection.close()
        return found

    yield fetched
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?paint=1", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript"),
        ("/model/model.json", "application/json"),
        ("/runtime/a.mjs", "text/javascript"),
        ("/runtime/a.wasm", "application/wasm"),
    ],
)
def test_files_come_with_their_form_and_the_headers_of_threads(get, path, form):
    status, headers, body = get(path)
    assert (status, headers["Content-Type"]) == (200, form)
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert body


@pytest.mark.parametrize(
    "path",
    [
        "/serve.py",
        "/README.md",
        "/model/",
        "/model",
        "/model/.hidden",
        "/model/below/a.json",
        "/model/../secret.txt",
        "/model/%2e%2e/secret.txt",
        "/model/..%2fsecret.txt",
        "/model/..",
        "/secret.txt",
        "//etc/passwd",
        "/%00",
    ],
)
def test_nothing_else_is_given_out(get, path, capfd):
    status, headers, body = get(path)
    assert status == 404
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert body != b"no"
    capfd.readouterr()


def test_a_folder_of_something_else_is_a_sentence(tmp_path, monkeypatch):
    words = ["serve.py", "--model", str(tmp_path), "--runtime", str(tmp_path)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit, match="holds no model"):
        serve.main()
    (tmp_path / "model.json").touch()
    with pytest.raises(SystemExit, match="Give dist of onnxruntime-web"):
        serve.main()


def test_links_that_lead_out_and_folders_are_no_files(get, tmp_path):
    (tmp_path / "model" / "link.json").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "model" / "below" / "index.html").write_text("no")
    for path in ("/model/link.json", "/model/below", "/model/below/"):
        assert get(path)[0] == 404


def test_a_request_that_cannot_be_read_is_logged_in_plain_characters(tmp_path, capsys):
    server = serve.make_server(tmp_path, tmp_path)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        connection.sendall(b"\x1b[31mNONSENSE\r\n\r\n")
        assert b"400" in connection.recv(4096)
    server.shutdown()
    thread.join()
    server.server_close()
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "Traceback" not in said
