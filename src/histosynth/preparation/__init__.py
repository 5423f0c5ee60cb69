"""Floor 1: glass to rows. numpy, no torch."""
