"""THE scoring backend: batching, engines, query counts, budgets, gradients.

Evolution, attacks, defenses and experiments all score through a `Scorer` and nothing else.
"""

from evofool.scoring.engines import EngineUnavailable, OutOfMemory, cache_folder, pick_device
from evofool.scoring.ranking import Fitness, Matrix, Scores, fitness_of, sigmoid
from evofool.scoring.scorer import Gradients, Loss, Scorer
from evofool.scoring.stream import Producer, ScoreStream

__all__ = [
    "EngineUnavailable",
    "Fitness",
    "Gradients",
    "Loss",
    "Matrix",
    "OutOfMemory",
    "Producer",
    "ScoreStream",
    "Scorer",
    "Scores",
    "cache_folder",
    "fitness_of",
    "pick_device",
    "sigmoid",
]
