"""Slides from the NCI Genomic Data Commons: lists of them, and whole files."""

from .download import Fetched, fetch
from .gdc import GDC, RemoteSlide, find_slides, label_of, manifest_text, table_text

__all__ = [
    "GDC",
    "Fetched",
    "RemoteSlide",
    "fetch",
    "find_slides",
    "label_of",
    "manifest_text",
    "table_text",
]
