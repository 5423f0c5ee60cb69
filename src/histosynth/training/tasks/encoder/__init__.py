"""The histology encoder: features that metrics compare tissue by."""

from .task import ENCODER as ENCODER
