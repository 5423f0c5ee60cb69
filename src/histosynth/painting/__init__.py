"""Whole slides from nuclei: windows of one canvas, in memory that does not grow with the slide.

The solver's steps are done in a few phases. In each, windows that overlap are sampled by themselves
from what the phase before left of them and of their neighbours, and blended. Noise, sizes of
nuclei, fibres and grain belong to places of the slide, hue and stain to the slide as a whole. So a
window's values depend on the windows next to it alone, and any part of a slide is the same pixels
whether the rest is painted or not.

`work_list` lists the pieces of work, `latents` and `pixels` do them, `run` hands them to an
engine. Lazy overlapped windows in few phases follow Goslin 2025, arXiv 2512.08309
(InfiniteDiffusion).
"""
