"""The scoring backend: batching, engines, query counts, budgets, gradients.

Evolution, attacks, defenses and experiments all score through a `Scorer` and nothing else.
"""

from evofool.scoring.cuda import Precision
from evofool.scoring.devices import Batch
from evofool.scoring.engines import EngineUnavailable, OutOfMemory, cache_folder, pick_device
from evofool.scoring.features import features
from evofool.scoring.gradients import Gradients, Loss, Wanted
from evofool.scoring.held_back import HeldBack, Robustness
from evofool.scoring.ledger import Heading, settled
from evofool.scoring.ranking import Fitness, Matrix, Scores, fitness_of, sigmoid
from evofool.scoring.scorer import Scorer
from evofool.scoring.stream import Parcel, Producer, ScoreStream

__all__ = [
    "Batch",
    "EngineUnavailable",
    "Fitness",
    "Gradients",
    "Heading",
    "HeldBack",
    "Loss",
    "Matrix",
    "OutOfMemory",
    "Parcel",
    "Precision",
    "Producer",
    "Robustness",
    "ScoreStream",
    "Scorer",
    "Scores",
    "Wanted",
    "cache_folder",
    "features",
    "fitness_of",
    "pick_device",
    "settled",
    "sigmoid",
]
