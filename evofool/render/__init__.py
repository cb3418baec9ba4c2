"""Rendering CPPNs: a graph is compiled to an instruction tape, the tape is interpreted.

There are three interpreters: in numba, which draws arrays on the CPU, in Triton for CUDA, and in
plain PyTorch for everything else. Each is imported when it draws its first picture.
"""

from evofool.render.cppn import Colour, Coords, coordinate_planes, output_values, render_cppn
from evofool.render.graph import ACTIVATIONS, INPUTS, WEIGHT_LIMIT, Graph, Graphs
from evofool.render.tape import Tapes, compile_tapes
from evofool.render.tensors import Backend, render_cppn_tensor, tensor_backend, working_backend

__all__ = [
    "ACTIVATIONS",
    "INPUTS",
    "WEIGHT_LIMIT",
    "Backend",
    "Colour",
    "Coords",
    "Graph",
    "Graphs",
    "Tapes",
    "compile_tapes",
    "coordinate_planes",
    "output_values",
    "render_cppn",
    "render_cppn_tensor",
    "tensor_backend",
    "working_backend",
]
