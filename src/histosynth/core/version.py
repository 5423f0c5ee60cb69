"""The version; in `core`, so that everything that writes files can name it."""

__version__ = "0.1.0"
