"""A program that uses evofool, with types: checked against the wheel, and run with it."""

import evofool
from evofool.encodings import load
from evofool.gallery import build

encoding = load("cppn", (3, 32, 32))
name: str = encoding.name
run = evofool.evolve(
    "mnist-cppn", "runs/consumer", overrides=["stop.evaluations=200", "scoring.batch=50"]
)
built = build(run.path, "gallery")
if built.pictures != 10 or not built.page.is_file():
    raise SystemExit(f"a gallery of {built.pictures} pictures at {built.page}")
digits = evofool.load_dataset("mnist-sample")
with evofool.Scorer(evofool.load_classifier("mnist-lenet")) as scorer:
    confidence = scorer.confidence(digits.images)
share: float = float((confidence.argmax(1) == digits.labels).mean())
if share < 0.98:
    raise SystemExit(f"{share:.0%} of the digits are right")
