"""Fetching slides: they come whole whatever the server does, or the reason is given."""

import errno
import urllib.error
import urllib.request

import pytest
from locking import another_run
from served import SIZE

from histosynth.core import web
from histosynth.core.errors import BadOption, FetchFailed, FolderInUse, NotWritable
from histosynth.preparation.fetch import RemoteSlide, download, fetch, find_slides, record


@pytest.fixture
def slept():
    return []


@pytest.fixture
def listed(commons):
    def call(project="TCGA-SARC", **more):
        return find_slides(
            project,
            endpoint=commons.endpoint,
            **({"sleep": lambda _: None} | more),
        )

    return call


@pytest.fixture
def bring(commons, tmp_path, slept):
    def call(slides, **more):
        return fetch(
            slides,
            tmp_path / "in",
            endpoint=commons.endpoint,
            sleep=slept.append,
            **more,
        )

    return call


def body_of(commons, slide):
    return commons.bodies[slide.file_id]


@pytest.mark.parametrize(
    "endpoint", ["ftp://a", "file:///etc/passwd", "a.b", "", "http://", "http://a b", "http://a:x"]
)
def test_only_http_is_spoken(tmp_path, endpoint):
    with pytest.raises(BadOption, match="endpoint"):
        find_slides("TCGA-SARC", endpoint=endpoint)
    with pytest.raises(BadOption, match="endpoint"):
        fetch([], tmp_path, endpoint=endpoint)


def test_options_out_of_range_are_refused(listed, tmp_path):
    for more in ({"project": "a/b"}, {"limit": 0}, {"page": 0}, {"tries": 0}):
        with pytest.raises(BadOption):
            listed(**more)
    with pytest.raises(BadOption, match="tries"):
        fetch([], tmp_path, tries=0)


def test_redirects_stay_on_http(
    commons,
    bring,
    listed,
    tmp_path,
):
    slides = listed(limit=1)
    for location in ("file:///etc/passwd", "ftp://127.0.0.1/a"):
        commons.faults = ["302"]
        commons.location = location
        assert list(bring(slides).failed) == [slides[0].name]
    commons.faults = ["302"]
    commons.location = f"{commons.endpoint}/data/id-0"
    assert bring(slides).done == (slides[0].name,)


def test_redirects_do_not_leave_tls():
    request = urllib.request.Request("https://a.org/data/x")
    with pytest.raises(urllib.error.HTTPError, match="a redirect to http"):
        web._Redirects().redirect_request(
            request,
            None,
            302,
            "",
            {},
            "http://a.org/data/x",
        )
    assert (
        web._Redirects()
        .redirect_request(
            request,
            None,
            302,
            "",
            {},
            "https://b.org/x",
        )
        .host
        == "b.org"
    )


def test_slides_come_whole_and_are_not_fetched_again(
    commons,
    bring,
    listed,
    tmp_path,
):
    slides = listed()
    ticks = []
    came = bring(slides, on_progress=lambda *at: ticks.append(at))
    assert (
        came.done == tuple(slide.name for slide in slides) and not came.already and not came.failed
    )
    total = sum(slide.size for slide in slides)
    assert ticks == sorted(ticks) and ticks[0] == (0, total) and ticks[-1] == (total, total)
    for slide in slides:
        assert (tmp_path / "in" / slide.name).read_bytes() == body_of(commons, slide)
    assert not list((tmp_path / "in").glob("**/*.part")) and commons.asked["data"] == 5
    assert bring(slides).already == came.done and commons.asked["data"] == 5


def test_a_file_that_is_there_and_right_is_read_once(
    commons,
    bring,
    listed,
    tmp_path,
    monkeypatch,
):
    slides = listed(limit=2)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / slides[0].name).write_bytes(body_of(commons, slides[0]))
    came = bring(slides)
    assert came.already == (slides[0].name,) and came.done == (slides[1].name,)
    with monkeypatch.context() as patch:
        patch.setattr(record, "md5_of", lambda path: pytest.fail("read again"))
        assert len(bring(slides).already) == 2
    (folder / record.FETCH_RECORD).write_text("[")  # a damaged record costs time, no more
    assert len(bring(slides).already) == 2


def test_a_broken_transfer_goes_on_where_it_stopped(
    commons,
    bring,
    listed,
    tmp_path,
    slept,
):
    slides = listed(limit=1)
    commons.faults = ["cut"]
    assert bring(slides).done == (slides[0].name,)
    assert commons.ranges == ["", f"bytes={slides[0].size // 2}-"] and slept == [1.0]
    assert (tmp_path / "in" / slides[0].name).read_bytes() == body_of(commons, slides[0])


def test_the_next_run_goes_on_too(
    commons,
    bring,
    listed,
    tmp_path,
):
    slides = listed(limit=1)
    commons.faults = ["cut"]
    failed = bring(slides, tries=1).failed[slides[0].name]
    assert isinstance(failed, FetchFailed) and "connection ended" in str(failed)
    assert not (tmp_path / "in" / slides[0].name).exists()
    assert bring(slides).done and commons.ranges[-1] == f"bytes={slides[0].size // 2}-"


@pytest.mark.parametrize("fault", ["ignore", "shift", "416", "long"])
def test_a_server_that_minds_no_range_or_errs_in_it_is_asked_for_all(
    commons,
    bring,
    listed,
    tmp_path,
    fault,
):
    slides = listed(limit=1)
    commons.faults = ["cut", fault]
    assert bring(slides).done == (slides[0].name,)
    assert (tmp_path / "in" / slides[0].name).read_bytes() == body_of(commons, slides[0])
    assert commons.ranges[-1] == ("" if fault != "ignore" else f"bytes={slides[0].size // 2}-")


def test_a_page_in_place_of_a_slide_spoils_nothing(commons, bring, listed):
    slides = listed(limit=1)
    commons.faults = ["page", "long", "cut", "page"]
    assert bring(slides).done == (slides[0].name,)
    assert commons.ranges[-2:] == [f"bytes={slides[0].size // 2}-"] * 2


@pytest.mark.parametrize("left", [b"stale", b"s" * 10_000_000])
def test_a_part_of_another_file_is_thrown_away(
    commons,
    bring,
    listed,
    tmp_path,
    left,
):
    slides = listed(limit=1)
    (tmp_path / "in").mkdir()
    download._part_of(slides[0], tmp_path / "in").write_bytes(left)
    assert bring(slides).done == (slides[0].name,)
    assert (tmp_path / "in" / slides[0].name).read_bytes() == body_of(commons, slides[0])


def test_a_wrong_checksum_is_tried_again_and_then_refused(
    commons,
    bring,
    listed,
    tmp_path,
):
    slides = listed(limit=2)
    commons.faults = ["wrong", "", "wrong", "wrong", "wrong"]
    came = bring(slides, tries=3)
    assert came.done == (slides[0].name,) and "md5" in str(came.failed[slides[1].name])
    assert sorted(each.name for each in (tmp_path / "in").iterdir()) == [
        record.FETCH_RECORD,
        slides[0].name,
    ]


def test_a_server_in_trouble_is_given_time_and_no_more(
    commons,
    bring,
    listed,
    slept,
):
    slides = listed(limit=2)
    commons.faults = ["500", "503", "429", ""] + ["500"] * 5
    came = bring(slides)
    assert came.done == (slides[0].name,) and list(came.failed) == [slides[1].name]
    assert slept == [1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 8.0] and "tried 5 times" in str(
        came.failed[slides[1].name]
    )


def test_what_is_gone_or_closed_is_not_requested_twice(
    commons,
    bring,
    listed,
    slept,
):
    slides = listed(limit=2)
    commons.faults = ["404"]
    came = bring(slides)
    assert (
        "404" in str(came.failed[slides[0].name]) and came.done == (slides[1].name,) and not slept
    )


@pytest.mark.parametrize("progress, came", [(SIZE // 3, 1), (SIZE, 0)])
def test_progress_renews_patience(
    commons,
    bring,
    listed,
    monkeypatch,
    progress,
    came,
):
    monkeypatch.setattr(download, "_PROGRESS", progress)
    slides = listed(limit=1)
    commons.faults = ["500", "500", "cut", "500"]
    assert len(bring(slides, tries=3).done) == came


def test_a_server_that_is_not_there_is_named(tmp_path):
    slide = RemoteSlide("id", "a.svs", 3, "0" * 32)
    failed = fetch(
        [slide],
        tmp_path,
        endpoint="http://127.0.0.1:1",
        tries=2,
        sleep=lambda _: None,
    ).failed
    assert "cannot be reached" in str(failed["a.svs"])


def test_two_slides_of_one_name_do_not_overwrite_each_other(commons, bring, listed):
    first, second = listed(limit=2)
    twin = RemoteSlide(
        second.file_id,
        first.name.upper(),
        second.size,
        second.md5,
    )
    came = bring([first, first, twin])
    assert came.done == (first.name,) and "this name" in str(came.failed[twin.name])


def test_a_full_disk_is_no_fault_of_the_server(
    commons,
    bring,
    listed,
    tmp_path,
    monkeypatch,
):
    slides = listed(limit=1)

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "open_to_append", full)
    with pytest.raises(NotWritable, match="No space left"):
        bring(slides)
    assert commons.asked["data"] == 1


def test_a_server_that_sends_a_byte_a_minute_is_given_up(bring, listed, monkeypatch, commons):
    slides = listed(limit=1)
    monkeypatch.setattr(web, "PACE_S", 0.0)
    monkeypatch.setattr(web, "MIN_BYTES", 1)  # a busy computer receives small pieces
    assert bring(slides).done
    monkeypatch.setattr(web, "MIN_BYTES", SIZE + 1)
    with pytest.raises(
        FetchFailed, match=r"bytes in 0 s, and 300,001 are the least .tried 3 times"
    ):
        listed(limit=1, tries=3)
    commons.hits[0]["file_name"] = "b.svs"
    monkeypatch.setattr(web, "MIN_BYTES", 100_000_000)
    slides = [RemoteSlide("id-0", "b.svs", slides[0].size, slides[0].md5)]
    assert "100,000,000 are the least" in str(bring(slides, tries=1).failed["b.svs"])


def test_a_folder_in_the_way_is_refused(bring, listed, tmp_path):
    slides = listed(limit=1)
    (tmp_path / "in" / slides[0].name).mkdir(parents=True)
    assert "something that is no file" in str(bring(slides).failed[slides[0].name])


def test_one_fetch_works_in_a_folder_at_a_time(bring, listed, tmp_path):
    slides = listed(limit=1)
    with another_run(tmp_path / "in"), pytest.raises(FolderInUse, match="works in it"):
        bring(slides)
    assert bring(slides).done
