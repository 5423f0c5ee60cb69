"""What training is fed: views of tiles, which of them a batch holds, their words, and whose they
are.
"""
