"""Inputs of `evaluate`: collections of tiles, and the checks before anything is measured."""
