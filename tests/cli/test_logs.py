"""What is logged: lines instead of bars, a file, JSON, and that no log replaces anything."""

import json
import logging
import re
import sys
import time

import pytest
import typer
from json_contract import check_json
from typer.testing import CliRunner

from histosynth.annotation.nuclei_files import write_csv
from histosynth.cli import heartbeat, logs
from histosynth.cli.heartbeat import Heartbeat, Stage, duration_text
from histosynth.cli.logs import LogOptions, logged_verb
from histosynth.cli.main import app
from histosynth.cli.output import Amount, Output
from histosynth.cli.verb import share_options
from histosynth.core.errors import BadOption, HistosynthError
from histosynth.core.stopping import Stopped
from histosynth.tissue.layout import draw_layout

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", re.M)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only where a test says so."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def events(text):
    """(event, message) of lines of JSON, each of which is as its schema says."""
    found = [check_json(line) for line in text.splitlines()]
    return [(each["event"], each["message"]) for each in found]


def texts(text):
    """Lines of text without their times."""
    assert len(TIME.findall(text)) == text.count("\n")
    return TIME.sub("", text).splitlines()


def test_stages_begin_and_end_with_a_line_and_beat_between(capsys, clock):
    with logged_verb("train", LogOptions()):
        watch = Heartbeat()
        stage = Stage("training")
        clock[0] += 30
        watch.beat()
        watch.update(stage, 1, 1000, {"loss": 0.51234})
        clock[0] += 30
        watch.update(stage, 61, 1000, {"loss": 0.25})
        watch.beat()
        clock[0] += 470
        watch.update(stage, 1000, 1000, {"loss": 0.125})
        watch.update(stage, 1000, 1000)
        clock[0] += 30
        watch.beat()
    assert texts(capsys.readouterr().err) == [
        "INFO histosynth train: opening, 30 s so far",
        "INFO histosynth train: training: 1 of 1,000, loss 0.5123",
        "INFO histosynth train: training: 61 of 1,000, loss 0.25, about 7 min 50 s left",
        "INFO histosynth train: training: 1,000 of 1,000, loss 0.125",
        "INFO histosynth train: after training, 9 min 20 s so far",
    ]


def test_a_stage_names_its_speed_in_the_unit_of_what_it_works_through(capsys, clock):
    amount = Amount("Mpx")
    with (
        logged_verb("paint", LogOptions()),
        Output().bars("painting", amounts={"painting": amount}) as (on_painted,),
    ):
        amount.total = 40.0
        on_painted(0, 20)
        clock[0] += 25
        on_painted(20, 20)
    assert texts(capsys.readouterr().err) == [
        "INFO histosynth paint: painting: 0 of 20",
        "INFO histosynth paint: painting: 20 of 20, Mpx/s 1.6",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (130, "2 min 10 s"), (3 * 3600 + 300, "3 h 5 min")],
)
def test_durations_in_words(seconds, text):
    assert duration_text(seconds) == text


def test_work_that_reports_nothing_is_no_silence(monkeypatch, capsys):
    beats = []
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.001)
    monkeypatch.setattr(Heartbeat, "beat", lambda self: beats.append(self))
    with heartbeat.beating():
        while len(beats) < 2:
            pass
    count = len(beats)
    assert count >= 2 and len(set(beats)) == 1


def test_progress_inside_progress_beats_once(monkeypatch):
    beats = set()
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.001)
    monkeypatch.setattr(Heartbeat, "beat", lambda self: beats.add(self))
    output = Output()
    with output.progress("encoding"), output.steps("training", 10) as on_step:
        on_step(1, {})
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline or not beats:
            pass
    assert len(beats) == 1
    with output.progress("sampling"):
        while len(beats) < 2:
            pass


def test_bars_of_a_terminal_take_the_place_of_lines(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with logged_verb("train", LogOptions()), Output().progress("one") as on_progress:
        on_progress(1, 2)
    assert "INFO" not in capsys.readouterr().err
    form = LogOptions(log_format="json")
    with logged_verb("train", form), Output().progress("one") as on_progress:
        on_progress(1, 2)
    assert [event for event, _ in events(capsys.readouterr().err)] == ["begin", "stage", "end"]


def test_a_file_holds_all_and_is_appended_to_in_its_form(tmp_path, capsys):
    path = tmp_path / "run.log"
    for exit_code in (0, 3):
        with pytest.raises(SystemExit), logged_verb("synthesize", LogOptions(str(path), "json")):
            Output(quiet=True).note("a note")
            Output(quiet=True).refused([BadOption("--seed", -1, "0 or more")])
            raise SystemExit(exit_code)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["event"] for each in found] == ["begin", "note", "refused", "end"] * 2
    assert (found[0]["arguments"], found[-1]["exit_code"]) == (sys.argv[1:], 3)
    assert found[2]["message"] == "--seed is -1, but must be 0 or more. Give another value."
    with pytest.raises(BadOption, match="a new file, or one that holds lines of --log-format text"):
        logs.logged_verb("synthesize", LogOptions(str(path))).__enter__()


def test_how_a_verb_ended_is_logged(tmp_path):
    path = tmp_path / "run.log"
    ends = (HistosynthError("It broke.", "Mend it."), Stopped(15), ValueError("x"), typer.Exit())
    for error in ends:
        with pytest.raises(type(error)), logged_verb("demo", LogOptions(str(path), quiet=True)):
            raise error
    found = [line for line in texts(path.read_text()) if "begins" not in line]
    assert [re.sub(r"[\d.]+ s$", "T", line) for line in found] == [
        "ERROR histosynth demo: It broke. Mend it.",
        "INFO histosynth demo: ends with exit code 1 after T",
        "ERROR histosynth demo: Stopped by SIGTERM: nothing was written. Run the same command "
        "again.",
        "INFO histosynth demo: ends with exit code 143 after T",
        "ERROR histosynth demo: ValueError: x",
        "INFO histosynth demo: ends with exit code 1 after T",
        "INFO histosynth demo: ends with exit code 0 after T",
    ]


@pytest.mark.parametrize("content", [b"II*\x00 a slide", b"x,y,class\n"])
def test_nothing_else_is_appended_to(tmp_path, content):
    path = tmp_path / "slide.tif"
    path.write_bytes(content)
    for wrong in (path, tmp_path / "absent" / "run.log", tmp_path):
        with pytest.raises(BadOption):
            logged_verb("demo", LogOptions(str(wrong))).__enter__()
    assert path.read_bytes() == content and not (tmp_path / "absent").exists()


def test_other_processes_of_a_launcher_write_no_log(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with logged_verb("train", LogOptions(str(tmp_path / "run.log"))):
        pass
    assert not (tmp_path / "run.log").exists()


def test_a_disk_that_is_full_costs_the_log_and_not_the_work(tmp_path, capsys):
    with logged_verb("demo", LogOptions(str(tmp_path / "run.log"))):
        (handler,) = (
            each for each in logging.getLogger("histosynth").handlers if hasattr(each, "_file")
        )
        handler._file.close()
        logs.log("note", "one")
        logs.log("note", "two")
    assert capsys.readouterr().err == (
        f"Note: {tmp_path / 'run.log'} is no longer written: write to closed file.\n"
    )


def test_hidden_characters_of_names_are_escapes_in_a_log(tmp_path):
    path = tmp_path / "run.log"
    with logged_verb("demo", LogOptions(str(path))):
        logs.log("note", "a\x1b[2J\nb")
    assert r"a\u001b[2J\nb" in path.read_text()


def test_options_of_the_log_are_options_of_every_verb(tmp_path, bundle_folder, monkeypatch):
    write_csv(tmp_path / "a.csv", draw_layout((128, 128), mpp=0.5, seed=0))
    words = ["synthesize", "--nuclei", tmp_path / "a.csv", "--size", 128, "--steps", 1, "-n", 2]
    words += ["--bundle", bundle_folder, "--out", tmp_path / "out", "--json"]
    words += ["--log-file", tmp_path / "run.log"]
    monkeypatch.setenv("HISTOSYNTH_LOG_FORMAT", "json")
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    check_json(done.stdout)
    lines = (tmp_path / "run.log").read_text()
    assert lines == done.stderr
    found = [json.loads(line) for line in lines.splitlines()]
    assert [each["event"] for each in found] == ["begin", "stage", "stage", "end"]
    pictures = [(each["stage"], each["done"], each["total"]) for each in found[1:3]]
    assert pictures == [("sampling", 0, 2), ("sampling", 2, 2)]


def test_another_form_is_wrong_usage():
    done = CliRunner().invoke(app, ["doctor", "--quick", "--log-format", "xml"])
    assert done.exit_code == 2 and "'xml' is neither text nor json" in done.stderr


# help and completion


def test_help_is_coloured_on_terminals_alone(monkeypatch):
    small = typer.Typer(add_completion=False, rich_markup_mode=None)
    small.command()(lambda: None)
    share_options(small)
    plain = CliRunner().invoke(small, ["--help"])
    assert "\x1b" not in plain.stdout
    monkeypatch.setattr("histosynth.cli.help_colours._shows_colours", lambda: True)
    shown = CliRunner().invoke(small, ["--help"], color=True).stdout
    assert "\x1b[1mOptions:\x1b[0m\n\x1b[36m  --log-file\x1b[0m PATH" in shown
    assert re.sub(r"\x1b\[\d*m", "", shown) == plain.stdout


def test_shells_complete_verbs_and_options():
    variables = {"_HISTOSYNTH_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    done = CliRunner().invoke(
        app, prog_name="histosynth", env=variables | {"COMP_WORDS": "histosynth syn"}
    )
    assert done.stdout.split() == ["synthesize"]


# the machine


@pytest.mark.parametrize(
    ("option", "value"),
    [("--bundle", "b"), ("--device", "cpu"), ("--dtype", "fp32")],
)
def test_options_of_the_bundle_are_refused_where_none_is_opened(option, value):
    done = CliRunner().invoke(app, ["doctor", "--quick", option, value])
    assert str(done.exception) == (
        f"{option} is {value}, but must be left out with --quick, which opens no bundle. "
        "Give another value."
    )
