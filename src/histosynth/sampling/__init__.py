"""From noise to tissue: solvers, guidance, completion, and the recipe of each picture.

Nothing here depends on training.
"""
