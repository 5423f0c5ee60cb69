"""Floor 0: units, geometry, tiles, nuclei, conditions, recipes, files, errors. No torch."""
