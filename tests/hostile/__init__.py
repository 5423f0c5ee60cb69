"""Hostile inputs, kills and runs at once."""
