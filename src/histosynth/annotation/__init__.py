"""Marks of people and tools: nuclei and regions in files, and agreement of two annotators."""
