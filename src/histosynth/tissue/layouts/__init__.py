"""Layouts of nuclei from a few hundred numbers: a density field of each class, and forces between
pairs of nuclei.

model    what is stored             fitting  tiles with marked nuclei ──► a model
field    random densities (um)      points   nuclei that follow densities and forces
drawing  a model and a seed ──► nuclei of one tile

Everything is in micrometres, and random numbers come from a seed alone. Nothing here is bound to a
tile's size but the window that `draw_points` is given.
"""
