"""Nobody writes into folders, removes from them or reads files past the functions that refuse
links, pipes and devices (`core/store.py`, `core/plain_files.py`)."""

import ast

from style import SOURCE, python_files

GUARDS = {"open_plain", "refuse_special_file", "read_tensor_header"}
READS = {
    "OpenSlide",
    "ParquetFile",
    "TiffFile",
    "WsiDicom",
    "ZipFile",
    "copyfile",
    "dcmread",
    "fdopen",
    "fromfile",
    "memmap",
    "open",
    "open_memmap",
    "read_bytes",
    "read_parquet",
    "read_schema",
    "read_text",
    "safe_open",
}
WRITES = {
    "chmod",
    "copy2",
    "copyfile",
    "copytree",
    "hardlink_to",
    "link",
    "makedirs",
    "mkdir",
    "move",
    "rename",
    "rmdir",
    "rmtree",
    "save_config",
    "save_pretrained",
    "savez",
    "symlink_to",
    "to_csv",
    "to_json_file",
    "to_parquet",
    "touch",
    "unlink",
    "write_bytes",
    "write_text",
}
WRITES_OF_ITS_OWN = {
    "annotation/layout_geojson.py": "the temporary file of `atomic_write`",
    "core/folder_lock.py": "lock files, opened without following links",
    "core/own_files.py": "the temporary file of `atomic_write`",
    "core/store.py": "the functions themselves",
    "core/temporary.py": "the functions themselves",
    "core/synthetic.py": "the temporary file of `atomic_write`",
    "encoders/weight_files.py": "the temporary file of `atomic_write`",
    "model/packing.py": "a temporary folder, moved to where nothing is",
    "painting/part_files.py": "the temporary file of `atomic_write`",
    "preparation/fetch/record.py": "gives a part its name, and follows no link",
    "slides/writing/dicom_files.py": "a temporary folder of `atomic_folder`",
    "slides/carrying/bigtiff.py": "the temporary file of `atomic_write`",
    "slides/writing/ome_tiff.py": "the temporary file of `atomic_write`",
    "slides/writing/parts.py": "the temporary file of `atomic_write`",
    "tensors/files.py": "the temporary file of `atomic_write`",
    "tensors/transformers_networks.py": "a temporary folder of the system",
    "testing_bases.py": "no verb calls it",
}
"""Modules that write, create or remove by themselves, and why they may."""
READS_OF_ITS_OWN = {
    "annotation/layout_geojson.py:write_layout_geojson": "writes",
    "painting/part_files.py:write_checked": "writes",
    "patching/output.py:_proofs": "a temporary file",
    "pipeline/mend.py:_check_options": "an engine",
    "pipeline/mend.py:mend": "an engine",
    "pipeline/mend.py:_nuclei": "a layout, by the readers of annotation",
    "pipeline/paint.py:paint": "an engine",
    "pipeline/paint_files.py:paint_files": "a layout, by the readers of annotation",
    "slides/writing/dicom_files.py:_write_level": "writes",
    "slides/carrying/bigtiff.py:write_pages": "writes",
    "slides/carrying/jpeg2000_stream.py:_without_conversion": "bytes in memory",
    "slides/writing/ome_tiff.py:_chain_levels": "a temporary file",
    "slides/writing/ome_tiff.py:_check_written": "a temporary file",
    "slides/writing/parts.py:write_block": "writes",
    "tissue/layouts/given_fields.py:_check_sizes": "an open file",
    "core/folder_lock.py:_open": "a lock file: follows no link, and does not wait",
    "core/temporary.py:_remove_if_abandoned": "follows no link, and does not wait",
    "core/web.py:open_url": "an address",
    "encoders/opening.py:open_encoder": "an encoder",
    "encoders/weight_files.py:_receive": "writes",
    "core/page/templates.py:_text_of": "the package's own text",
    "model/families/single_file.py:published_settings": "the package's own text",
    "model/packing.py:_extract": "writes",
    "model/packing.py:write_contents": "writes",
    "model/packing.py:_write_zip": "writes",
    "pipeline/evaluate.py:run_evaluation": "an engine",
    "pipeline/prepare.py:cut_tiles": "an engine",
    "pipeline/prepare.py:run_preparation": "an engine",
    "slides/dicom.py:__init__": "files whose headers were read before",
    "slides/openslide.py:__init__": "`open_slide` read its first bytes before",
    "slides/tiff_pages.py:opened_tiff": "`open_slide` read its first bytes before",
    "slides/tiff_segments.py:__init__": "`open_slide` read its first bytes before",
    "tensors/files.py:_sort_metadata": "a temporary file",
    "tensors/transformers_networks.py:_copy_tokenizer": "after `is_file`",
    "training/tasks/encoder/degradation.py:_compressed": "bytes in memory",
}
"""Functions that open without a guard, and why they may."""


def called_name(call):
    """The last part of a called name, and whether it is an attribute, as methods of paths are."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr, True
    return getattr(function, "id", ""), False


def mode_of(call):
    values = [*call.args[:2], *[each.value for each in call.keywords if each.arg == "mode"]]
    for value in values:
        is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        if is_text and value.value and set(value.value) <= set("rwaxbt+"):
            return value.value
    return "r"


def is_write(call):
    name, is_attribute = called_name(call)
    if name == "open":
        return bool(set(mode_of(call)) & set("wax+"))
    if name == "replace":  # that of texts takes two arguments
        return len(call.args) == 1 and not call.keywords
    if not is_attribute or name not in WRITES:
        return False
    owner = ast.unparse(call.func.value)
    return owner != "self" and not owner.startswith(("self.collector", "pa."))


def is_read(call):
    name, is_attribute = called_name(call)
    if name in ("read_bytes", "read_text"):  # methods of paths; ours are functions
        return is_attribute
    owners = ast.unparse(call.func).split(".")
    return name in READS or "WsiDicom" in owners or owners == ["np", "load"]


def calls_in(tree):
    """Every call with the functions around it, the outermost first."""

    def walk(node, around):
        for child in ast.iter_child_nodes(node):
            inside = around
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = [*around, child]
            if isinstance(child, ast.Call):
                yield child, inside
            yield from walk(child, inside)

    yield from walk(tree, [])


def calls_of_source():
    for path in python_files(SOURCE):
        place = path.relative_to(SOURCE).as_posix()
        for call, around in calls_in(ast.parse(path.read_text(encoding="utf-8"))):
            yield place, call, around


def has_guard(function):
    names = {called_name(each)[0] for each in ast.walk(function) if isinstance(each, ast.Call)}
    return bool(names & GUARDS)


def test_folders_are_written_through_the_functions_that_refuse_links():
    found = {place for place, call, _ in calls_of_source() if is_write(call)}
    assert found == set(WRITES_OF_ITS_OWN)


def test_files_are_read_through_the_functions_that_refuse_pipes():
    found = set()
    for place, call, around in calls_of_source():
        if is_read(call) and place != "testing_bases.py":
            outside = place in ("core/store.py", "core/plain_files.py")
            if not outside and not any(map(has_guard, around)):
                found.add(f"{place}:{around[-1].name if around else ''}")
    assert found == set(READS_OF_ITS_OWN)


def test_a_call_that_goes_around_is_found():
    text = "def f(path):\n    path.parent.mkdir()\n    path.open('ab')\n    np.load(path)\n"
    calls = [call for call, _ in calls_in(ast.parse(text))]
    assert [is_write(call) for call in calls] == [True, True, False]
    assert [is_read(call) for call in calls] == [False, True, True]
    assert not has_guard(ast.parse(text))
    assert has_guard(ast.parse("with open_plain(path) as file:\n    np.load(file)"))
