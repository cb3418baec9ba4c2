"""Architectures, and the weights that go into them."""
