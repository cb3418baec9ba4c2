"""Attacks that follow gradients of the victim."""
