"""What plots of evaluations show where nets are nearly certain."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from evofool.experiments.curve_plots import curves_plot
from evofool.experiments.curves import Curve
from evofool.experiments.defend.plots import log_odds, surfaces_plot
from evofool.experiments.retrain.plots import rounds_plot
from evofool.images import UInt8Images, decode_png
from evofool.report.figures import tones
from evofool.report.theme import DARK, LIGHT


def loss(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.logaddexp(0.0, -odds)
    return found


def rows_of(pixels: UInt8Images, colour: str) -> int:
    """Over how many rows of a picture a colour reaches."""
    wanted = np.rint(np.array(to_rgb(colour)) * 255).astype(int).reshape(3, 1, 1)
    rows = np.flatnonzero((np.abs(pixels.astype(int) - wanted) <= 2).all(axis=0).any(axis=1))
    return int(np.ptp(rows)) if rows.size else 0


def curve(net: str, first: float, last: float) -> Curve:
    """Confidences whose distances from 1 shrink from 10^-first to 10^-last."""
    confidence = 1 - 10 ** -np.linspace(first, last, 9)
    return Curve(net, "cppn", (1,), np.arange(1, 10) * 100, confidence[None])


def test_log_odds_of_a_loss() -> None:
    odds = np.array([-700.0, -30.0, -1.0, 0.0, 1.0, 30.0, 600.0])
    assert log_odds(loss(odds)) == pytest.approx(odds)
    assert np.isfinite(log_odds(np.array([0.0, 1e5]))).all()


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_surfaces_of_a_net_that_is_right_everywhere_are_not_black(colours: dict[str, str]) -> None:
    """From p = .999 to .99999 on one surface, all wrong on another."""
    along = np.broadcast_to(np.linspace(6.9, 11.5, 17), (17, 17))
    pixels = decode_png(surfaces_plot({"a": [loss(along)], "b": [loss(-2 * along)]}, 0.3, colours))
    middle = pixels[:, :, pixels.shape[2] // 3]  # through both surfaces, past the labels
    height = pixels.shape[1]
    right, wrong = middle[:, height // 4].astype(int), middle[:, 3 * height // 4].astype(int)
    assert right[2] > right[0] + 30  # blue
    assert wrong[0] > wrong[2] + 30  # red
    across = pixels[:, height // 4, :].astype(int)
    blues = {tuple(column) for column in across.T if column[2] > column[0] + 30}
    assert len(blues) >= 12  # of the 17 columns


def test_curves_near_certainty_are_no_line_along_the_top() -> None:
    pair = [curve("undefended", 2, 8), curve("defended", 1, 5)]
    pixels = decode_png(curves_plot(pair, LIGHT))
    for colour in ("main", "second"):
        assert rows_of(pixels, LIGHT[colour]) > pixels.shape[1] / 3


def test_rounds_have_colours_of_their_own() -> None:
    lines = [(k, curve(f"round {k}", 2, 8 - k)) for k in range(6)]
    pixels = decode_png(rounds_plot(lines, ["attacked by cppn"], LIGHT))
    for colour in [LIGHT["main"], *tones(5, LIGHT)]:
        assert rows_of(pixels, colour) > pixels.shape[1] / 8
