"""Doors: parse, call one function, show. No logic, and no torch at import."""
