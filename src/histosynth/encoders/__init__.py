"""Image encoders. Training may make one and metrics may use one; neither imports the other."""
