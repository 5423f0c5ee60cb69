"""Bases made elsewhere: Stable Diffusion and its kin, opened from folders or single files."""
