"""Hostile inputs: altered files of every format, hostile servers, kills, and what comes of them.

    make hostile                          # the long run: a table, and hostile.json
    PYTHONPATH=src:tests:tests/support python -m hostile --only png csv --count 50

Every input is made from (format, seed, index), so those three make it again. `formats.FORMATS`
lists the formats; a new one is one function that writes small seeds and one door that reads them.
The test files of this folder try a few inputs of each.
"""
