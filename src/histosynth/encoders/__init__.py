"""Floor 2: networks that turn pictures into features. They are judges' eyes and make no images."""
