"""Layered pictures: stacks of fields, drawn in numba, on CUDA in Triton, elsewhere in PyTorch."""

from evofool.render.layers.colour import LayerColour, colour_matrix
from evofool.render.layers.described import described, field_words
from evofool.render.layers.drawing import (
    render_fields,
    render_fields_tensor,
    render_layers,
    render_layers_tensor,
    tensor_renderer,
)
from evofool.render.layers.stack import (
    CHARTS,
    FIELDS,
    GENES,
    GROUND,
    MASKS,
    MOST_LAYERS,
    SEEDS,
    Stack,
    Stacks,
)

__all__ = [
    "CHARTS",
    "FIELDS",
    "GENES",
    "GROUND",
    "MASKS",
    "MOST_LAYERS",
    "SEEDS",
    "LayerColour",
    "Stack",
    "Stacks",
    "colour_matrix",
    "described",
    "field_words",
    "render_fields",
    "render_fields_tensor",
    "render_layers",
    "render_layers_tensor",
    "tensor_renderer",
]
