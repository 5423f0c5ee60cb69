"""Real slides whose folds, pen, bubbles, tears and blurred places become synthetic tissue.

`finding` looks for them, `plan` puts regions into pieces of work, `canvas` paints a piece from the
tissue around it and its `nuclei`, `level_tiles` carries the result to all levels, `output` writes
the slide. Everywhere else the slide stays as it was: tiles are carried over as they lie in the
file, and tiles that are touched decode to the same pixels outside of the regions (`proof`).
"""
