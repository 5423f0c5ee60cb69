"""What strangers wrote reaches terminals as text: in results, notes, refusals and bars."""

import io
import json
import os
import subprocess
import sys
import warnings

import pytest

from histosynth.annotation.chosen_nuclei import warn_of
from histosynth.cli import main
from histosynth.cli.logs import current_verb
from histosynth.cli.output import Output
from histosynth.cli.streams import VisibleStream, visible_streams
from histosynth.core.errors import BadOption, InputError
from histosynth.core.visible import is_hidden, json_line, visible

EVIL = "a\x1b[31m\nb\r\x07\x9b2J\u202ec\u2028\udcff\x7f\t"
SHOWN = r"a\u001b[31m\nb\r\u0007\u009b2J\u202ec\u2028\udcff\u007f\t"


class Stream(io.StringIO):
    """One that a terminal of another encoding may stand behind."""

    def __init__(self, encoding="utf-8"):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self):
        return self._encoding

    def write(self, text):
        text.encode(self._encoding)
        return super().write(text)


@pytest.fixture
def streams(monkeypatch):
    # a verb that another test ran may have logged JSON
    monkeypatch.setattr(current_verb, "is_json", False)

    def replace(encoding="utf-8"):
        out = Stream(encoding)
        err = Stream(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return replace


def test_hidden_characters_become_escapes_and_others_stay():
    assert visible(EVIL) == SHOWN
    assert visible(EVIL, keep="\n").splitlines()[0] == r"a\u001b[31m"
    plain = "C:\\neu\\Prä-Schnitt \u0645\u06cc\u200c\u062e\u0648 \U0001f52c µm 5 %"
    assert visible(plain) == plain
    assert is_hidden("\u200b") and is_hidden("\ufeff") and not is_hidden("\u200d")


def test_json_holds_the_text_itself_in_plain_characters():
    line = json_line({EVIL: [EVIL, 1.5]})
    assert json.loads(line) == {EVIL: [EVIL, 1.5]}
    assert all(" " <= character <= "~" for character in line)


def test_results_notes_and_refusals_are_one_line_each(streams):
    out, err = streams()
    output = Output()
    output.note(EVIL)
    output.done({}, [EVIL, ""])
    output.refused([EVIL])
    output.refuse(InputError(EVIL, "Next."))
    assert out.getvalue() == f"{SHOWN}\n\n"
    assert err.getvalue() == (f"{SHOWN}\nhistosynth: {SHOWN}\nhistosynth: {SHOWN} Next.\n")


def test_json_output_stays_json(streams):
    out, _ = streams()
    Output(as_json=True).done({"name": EVIL}, [])
    found = json.loads(out.getvalue())
    assert found.pop("schema").startswith("urn:histosynth:")
    assert found == {"name": EVIL}


@pytest.mark.parametrize(
    "encoding, shown", [("cp1252", r"\u01cf ä \u001b"), ("ascii", r"\u01cf \xe4 \u001b")]
)
def test_terminals_of_few_characters(streams, encoding, shown):
    out, err = streams(encoding)
    Output().done({}, ["\u01cf ä \x1b"])
    with visible_streams():
        sys.stderr.write("\u01cf ä \x1b")
    assert out.getvalue() == f"{shown}\n"
    assert err.getvalue() == shown


def test_errors_hold_no_escapes_wherever_they_are_shown():
    error = BadOption("--out", EVIL, "another")
    assert EVIL not in str(error) and SHOWN in error.problem and SHOWN in str(error)
    assert InputError("p.", "r.").of(EVIL).problem == f"{SHOWN}: p."
    assert InputError(f"{EVIL} p.", "r.").of(EVIL).problem == f"{SHOWN} p."


def test_warnings_of_python_hold_no_escapes():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of(EVIL)
    assert str(caught[0].message) == SHOWN


def test_what_others_print_is_shown_and_bars_of_others_move(streams):
    out, err = streams()
    with visible_streams():
        print(f"{EVIL}|", file=sys.stderr)
        sys.stderr.writelines(["\x1b[31m", "\n"])
        sys.stderr.write("\r 10 % \x1b[2J")
        sys.stderr.write("\x1b[A\x1b[A")
        assert not hasattr(sys.stdout, "buffer") and sys.stdout.encoding == "utf-8"
    assert (sys.stdout, sys.stderr) == (out, err)
    first = SHOWN.replace(r"\n", "\n")
    assert err.getvalue() == f"{first}|\n\\u001b[31m\n\r 10 % \\u001b[2J\x1b[A\x1b[A"
    assert isinstance(VisibleStream(err).raw, Stream)


def test_a_fault_of_ours_shows_its_traceback_as_text(streams, monkeypatch):
    _, err = streams()

    def fail():
        raise KeyError(EVIL, os.PathLike)

    monkeypatch.setattr(main, "app", lambda: fail())
    with pytest.raises(SystemExit) as end:
        main.run()
    assert end.value.code == 1
    assert "Traceback" in err.getvalue() and "\x1b" not in err.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="its file systems have no such names")
def test_every_way_to_the_terminal(tmp_path):
    path = tmp_path / "a\x1b[31m\n.svs"
    path.write_bytes(b"xx")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for arguments in (
        ["prepare", "inspect", str(path)],
        ["prepare", "split", str(path), "--out", str(tmp_path / "o.csv")],
        ["prepare", "split", str(path), "--\x1b[31m", "o"],
        ["\x1b[31m"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "histosynth", *arguments],
            capture_output=True,
            env=environment,
            check=False,
        )
        assert done.returncode in (1, 2)
        text = done.stdout + done.stderr
        assert b"\x1b" not in text and b"1b[31m" in text
