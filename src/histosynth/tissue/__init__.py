"""How H&E tissue looks: stain, hue, grain, masks, layouts, copied tissue (numpy)."""
