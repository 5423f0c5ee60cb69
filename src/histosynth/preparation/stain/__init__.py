"""Stain: what dyes a slide was given, found from its pixels, and how to give it another slide's.

A stain is a few numbers. Two stains give a `Restain`, which turns pixels of the one into the
other's. Where two dyes cannot be distinguished a fit refuses; it never returns tissue unchanged.
"""

from .dyes import DyeStain
from .macenko import fit_macenko
from .methods import STAIN_METHODS, fit_stain, medoid, restain_between, stain_from_dict
from .reinhard import LabStain, fit_reinhard
from .stain import Restain, Stain, StainMethod
from .vahadane import fit_vahadane

__all__ = [
    "STAIN_METHODS",
    "DyeStain",
    "LabStain",
    "Restain",
    "Stain",
    "StainMethod",
    "fit_macenko",
    "fit_reinhard",
    "fit_stain",
    "fit_vahadane",
    "medoid",
    "restain_between",
    "stain_from_dict",
]
