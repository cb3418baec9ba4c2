"""Defended classifiers: what is put in front of a net, behind it, or trained into it."""
