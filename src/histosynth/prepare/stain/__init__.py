"""Stain: what dyes a slide was given, found from its pixels, and how to give it another slide's.

A fit is a few numbers. Two fits give a `Restain`, which turns pixels of the one into the other's.
Where no two dyes can be told apart a fit refuses; it never passes tissue on unchanged.
"""

from .dyes import DyeStain, fit_macenko
from .methods import METHODS, Restain, Stain, fit_stain, medoid, restain_between, stain_from_dict
from .reinhard import LabStain, fit_reinhard
from .vahadane import fit_vahadane

__all__ = [
    "METHODS",
    "DyeStain",
    "LabStain",
    "Restain",
    "Stain",
    "fit_macenko",
    "fit_reinhard",
    "fit_stain",
    "fit_vahadane",
    "medoid",
    "restain_between",
    "stain_from_dict",
]
