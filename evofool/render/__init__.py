"""Rendering CPPNs: a graph is compiled to an instruction tape, the tape is interpreted.

The interpreter (numba) is imported when the first picture is drawn.
"""

from evofool.render.cppn import Colour, Coords, coordinate_planes, output_values, render_cppn
from evofool.render.graph import ACTIVATIONS, INPUTS, WEIGHT_LIMIT, Graph
from evofool.render.tape import Tapes, compile_tapes

__all__ = [
    "ACTIVATIONS",
    "INPUTS",
    "WEIGHT_LIMIT",
    "Colour",
    "Coords",
    "Graph",
    "Tapes",
    "compile_tapes",
    "coordinate_planes",
    "output_values",
    "render_cppn",
]
