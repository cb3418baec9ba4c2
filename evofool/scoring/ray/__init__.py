"""Scoring spread over workers of Ray: what is sent, what a worker does, and the pool of them.

`ray` itself is imported by `evofool.ray_session` alone, and only where it is asked for.
"""

from evofool.scoring.ray.layout import Layout
from evofool.scoring.ray.pool import RayPool

__all__ = ["Layout", "RayPool"]
