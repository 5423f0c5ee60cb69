"""Work of `evaluate` in pieces that any engine runs: measuring tiles, searching for copies."""
