"""Nobody goes around the functions that print, write tables, check names and replace files."""

import ast

import pytest
from style import SOURCE, python_files

from histosynth.preparation.fetch.gdc import SLIDE_SUFFIXES as FETCHED
from histosynth.slides.opening import SLIDE_SUFFIXES

PRINTERS = {"print", "pprint", "echo", "secho", "print_exc", "print_exception"}
PRINTS = {
    "cli/main.py": "the traceback of a fault of ours, inside `visible_streams`",
}
STREAMS = {
    "cli/main.py": "the version, and the stream that `write_line` is given",
    "cli/output.py": "the streams that `write_line` is given",
    "cli/streams.py": "puts `VisibleStream` in their place",
    "engine/ray_process.py": "keeps what Ray prints out of stdout",
}
TABLES = {"csv.writer", "csv.DictWriter", "csv.reader", "csv.DictReader"}
WRITES_UNRECORDED = {
    "preparation/fetch/download.py": "hidden files, and what `record` admits",
    "preparation/fetch/record.py": "the record of slides itself",
    "preparation/input_contents.py": "a hidden file among the surveys",
    "preparation/jobs.py": "hidden surveys; Parquet files name the job that wrote them",
}
"""Modules of verbs with folders of users that write without `OwnFiles`, and why they may."""
FOLDERS_OF_USERS = ("pipeline", "preparation", "evaluation/report")


def calls(path):
    """The dotted names of all functions that a module calls."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def modules_that_call(names, files=None):
    found = set()
    for path in files or python_files(SOURCE):
        called = set(calls(path))
        if called & names or {name.rpartition(".")[2] for name in called} & names:
            found.add(path.relative_to(SOURCE).as_posix())
    return found


def test_one_function_prints():
    assert modules_that_call(PRINTERS) == set(PRINTS)


def test_one_module_touches_the_streams():
    found = set()
    for path in python_files(SOURCE):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
                found.add(path.relative_to(SOURCE).as_posix())
    assert found == set(STREAMS)
    writes = {"sys.stdout.write", "sys.stderr.write"}
    assert not modules_that_call(writes)


def test_one_module_writes_and_reads_tables():
    assert modules_that_call(TABLES) == {"core/cells.py"}


def test_one_function_warns_and_it_shows_escapes():
    assert modules_that_call({"warnings.warn"}) == {"annotation/chosen_nuclei.py"}


@pytest.mark.parametrize("name", ["zipfile.ZipFile", "tarfile.open", "shutil.unpack_archive"])
def test_archives_are_opened_where_their_names_are_checked(name):
    readers = {"model/packing.py", "tissue/layouts/given_fields.py"}
    expected = readers if name == "zipfile.ZipFile" else set()
    assert modules_that_call({name}) == expected
    assert not modules_that_call({"extractall", "extract"})


def test_results_of_verbs_are_replaced_through_their_record():
    files = [
        path
        for path in python_files(SOURCE)
        if path.relative_to(SOURCE).as_posix().startswith(FOLDERS_OF_USERS)
    ]
    names = {"atomic_write", "write_text", "write_json"}
    found = modules_that_call(names, files)
    own = {path for path in found if "OwnFiles" in (SOURCE / path).read_text(encoding="utf-8")}
    assert found - own <= set(WRITES_UNRECORDED)
    for path in own:
        called = set(calls(SOURCE / path))
        assert not called & names, f"{path} writes past its OwnFiles"


def test_fetched_slides_have_the_endings_of_the_readers():
    assert FETCHED is SLIDE_SUFFIXES
