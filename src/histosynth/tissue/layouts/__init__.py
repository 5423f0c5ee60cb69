"""Layouts of nuclei from a few hundred numbers: a density field of each class, and forces between
pairs of nuclei.

model         what is stored               fitting  tiles with marked nuclei ──► a model
drawn_layout  a model and a seed ──► nuclei of any window of a slide
drawing       the same for one tile        tile_samples  many tiles at once, for fitting

Everything is in micrometres, and random numbers come from a seed and a position alone.
"""
