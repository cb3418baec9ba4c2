"""Judging a defense: the threat matrix, signs of hidden gradients, evolution, a report."""
