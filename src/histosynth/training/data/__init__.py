"""The data of training: tiles, their cached views, the batches drawn from them, and prompts."""
