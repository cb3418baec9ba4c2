"""Victims that are services behind HTTP: how they are asked, and what becomes of their answers."""
