"""``evofool serve``: a classifier behind HTTP, the reference for victims that are services."""

from evofool.scoring.serving.contract import Contract, Limits
from evofool.scoring.serving.server import Server

__all__ = ["Contract", "Limits", "Server"]
