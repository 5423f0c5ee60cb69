"""Floor 2: the networks, and the only room for diffusers and peft besides solvers and training."""
