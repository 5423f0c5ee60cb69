"""The version, on the lowest floor, where everything that writes files can name it."""

__version__ = "0.1.0"
