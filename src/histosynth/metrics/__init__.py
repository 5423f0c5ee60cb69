"""Floor 4: judges. They see pixels, nuclei and numbers, and import nothing that makes images."""
