"""Weights are fetched whole, checked before they are read, and fitted whole."""

import hashlib
import http.server
import threading
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from histosynth.core.errors import BadWeights, FetchFailed
from histosynth.encoders import weight_files
from histosynth.encoders.weight_files import (
    PublicFile,
    cached_or_fetched,
    checked_bytes,
    load_tensors_into,
    read_tensors,
)

BODY = b"weights" * 1000
RIGHT = hashlib.sha256(BODY).hexdigest()


class Answers(http.server.BaseHTTPRequestHandler):
    """`/good` sends the body, `/cut` half of it the first time, `/none` nothing."""

    requested: ClassVar[list[str]] = []

    def do_GET(self):
        first = self.path not in self.requested
        self.requested.append(self.path)
        if self.path == "/none":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 2] if self.path == "/cut" and first else BODY)

    def log_message(self, *args):
        pass


@pytest.fixture
def address(monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOSYNTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Answers, "requested", [])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(
        target=server.serve_forever,
        kwargs={"poll_interval": 0.01},
        daemon=True,
    )
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_fetched_once_into_the_cache_folder(address, tmp_path):
    known = [PublicFile("net.pth", f"{address}/good", RIGHT)]
    for _ in range(2):
        assert cached_or_fetched(known) == tmp_path / "cache" / "net.pth"
    assert Answers.requested == ["/good"]
    assert (tmp_path / "cache" / "net.pth").read_bytes() == BODY


def test_a_later_known_file_that_is_there_is_taken_before_anything_is_fetched(address, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "other.pt").write_bytes(b"")
    known = [
        PublicFile("net.pth", f"{address}/good", RIGHT),
        PublicFile("other.pt", f"{address}/good", RIGHT),
    ]
    assert cached_or_fetched(known).name == "other.pt"
    assert Answers.requested == []


def test_a_broken_connection_is_tried_again(address):
    waited = []
    path = cached_or_fetched([PublicFile("net.pth", f"{address}/cut", RIGHT)], sleep=waited.append)
    assert path.read_bytes() == BODY
    assert len(waited) == 1 and len(Answers.requested) == 2


def test_another_file_than_the_pinned_one_is_refused_with_both_sums_and_not_kept(address, tmp_path):
    with pytest.raises(BadWeights) as caught:
        cached_or_fetched([PublicFile("net.pth", f"{address}/good", "0" * 64)])
    assert RIGHT in caught.value.problem and "0" * 64 in caught.value.problem
    assert f"{address}/good" in caught.value.remedy
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_message_for_what_cannot_be_fetched_names_the_path_by_hand(address, tmp_path):
    with pytest.raises(FetchFailed) as caught:
        cached_or_fetched([PublicFile("net.pth", f"{address}/none", RIGHT)])
    assert "404" in caught.value.problem
    assert "--weights" in caught.value.remedy
    assert str(tmp_path / "cache" / "net.pth") in caught.value.remedy


def test_the_message_for_a_read_only_cache_folder_names_the_variable(address, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(FetchFailed, match="HISTOSYNTH_CACHE"):
        cached_or_fetched([PublicFile("net.pth", f"{address}/good", RIGHT)])
    assert Answers.requested == []


def test_a_file_of_another_sum_is_never_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "net.pth"
    torch.save({"a": torch.zeros(2)}, path)
    monkeypatch.setattr(
        weight_files.torch,
        "load",
        lambda *_, **__: pytest.fail("it was unpacked"),
    )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(BadWeights) as caught:
        read_tensors(path, [PublicFile("net.pth", "https://there", RIGHT)])
    assert found in caught.value.problem and RIGHT in caught.value.problem


def test_of_a_file_of_the_right_sum_only_tensors_are_read(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"a": torch.arange(3)}, path)
    known = [PublicFile("net.pth", "", hashlib.sha256(path.read_bytes()).hexdigest())]
    tensors, sha256 = read_tensors(path, known)
    assert tensors["a"].tolist() == [0, 1, 2] and sha256 == known[0].sha256
    torch.save({"a": nn.Linear(1, 1)}, path)
    with pytest.raises(BadWeights, match="does not hold tensors only"):
        read_tensors(
            path, [PublicFile("net.pth", "", hashlib.sha256(path.read_bytes()).hexdigest())]
        )
    torch.save([torch.arange(3)], path)
    with pytest.raises(BadWeights, match="other things than tensors"):
        read_tensors(
            path, [PublicFile("net.pth", "", hashlib.sha256(path.read_bytes()).hexdigest())]
        )


def test_safetensors_may_be_any_and_their_sum_is_returned(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.arange(3)}, path)
    tensors, sha256 = read_tensors(path, ())
    assert tensors["a"].tolist() == [0, 1, 2]
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(BadWeights):
        read_tensors(path, ())


def test_a_path_without_a_file_is_refused(tmp_path):
    for name in ("a.pth", "a.safetensors"):
        with pytest.raises(BadWeights, match="No such file"):
            read_tensors(tmp_path / name, [PublicFile("a.pth", "", RIGHT)])
    with pytest.raises(BadWeights, match="No such file"):
        checked_bytes(tmp_path / "a.pt", [PublicFile("a.pt", "", RIGHT)])


def test_tensors_fit_whole_or_are_refused(tmp_path):
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    right = {k: torch.full_like(v, 2) for k, v in network.state_dict().items() if "num" not in k}
    load_tensors_into(
        network,
        right | {"fc.weight": torch.zeros(1)},
        tmp_path,
        ignored_prefixes=("fc.",),
    )
    assert not network.training
    assert all((v == 2).all() for k, v in network.state_dict().items() if "num" not in k)
    less = {k: v for k, v in right.items() if k != "0.bias"}
    for wrong, message in (
        (less, r"1 absent \(0.bias\)"),
        (right | {"fc.weight": torch.zeros(1)}, r"1 unknown \(fc.weight\)"),
        (right | {"0.bias": torch.zeros(4)}, r"1 of another shape \(0.bias\)"),
    ):
        with pytest.raises(BadWeights, match=message):
            load_tensors_into(network, wrong, tmp_path)
