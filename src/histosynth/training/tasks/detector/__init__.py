"""The centroid detector: where nuclei are, and of which class."""

from .task import DETECTOR as DETECTOR
