"""Files of tensors, the settings next to them, and networks that are no larger than their files.

Both come from strangers: all is checked before a library sees it, and before memory is taken.
"""
