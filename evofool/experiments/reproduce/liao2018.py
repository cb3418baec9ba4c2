"""Claims on the denoiser of Liao et al., CVPR 2018 (arXiv 1712.02976), and on what breaks it."""

from __future__ import annotations

from dataclasses import replace

from evofool.experiments.defend.matrix import DEFENDED, UNDEFENDED, JudgedNet
from evofool.experiments.engine import Planned, Results, Work
from evofool.experiments.reproduce.claims import (
    Claim,
    Measured,
    Published,
    share_above,
    share_below,
)
from evofool.experiments.reproduce.setting import Setting
from evofool.experiments.works.answers import AnswerRow
from evofool.text import rate

SOURCE = "Liao et al., CVPR 2018"
_SMALL = (
    "a U-net of width 8 and four levels on digits, taught by FGSM and I-FGSM pictures of one net"
)


def _net(setting: Setting, name: str) -> JudgedNet:
    return next(net for net in setting.denoising.evaluation.nets if net.name == name)


def _unaware(setting: Setting) -> Work:
    """PGD on the bare net, shown to the one behind the denoiser."""
    threats = _net(setting, DEFENDED).threats
    return next(t.work for t in threats if t.group == "transfer" and t.name.startswith("PGD"))


def _undefended(setting: Setting) -> Work:
    threats = _net(setting, UNDEFENDED).threats
    return next(t.work for t in threats if t.group == "white" and t.name.startswith("PGD"))


def _wanted(setting: Setting, *works: Work) -> list[Planned]:
    """Some works of the evaluation, after those that make the defended net."""
    by_address = {planned.work.address: planned for planned in setting.denoising.plan}
    needed: dict[str, None] = {}

    def add(work: Work) -> None:
        for need in work.needs:
            add(need)
        needed[work.address] = None

    for work in works:
        add(work)
    return [by_address[address] for address in needed if address in by_address]


def _oblivious_works(setting: Setting) -> list[Planned]:
    clean = _net(setting, DEFENDED).clean
    return _wanted(setting, clean, _undefended(setting), _unaware(setting))


def _oblivious(setting: Setting, results: Results) -> Measured:
    hits, n = _errors(results, _unaware(setting))
    measured = share_below(hits, n, 0.5, "digits are wrong", 1)
    return replace(measured, table=_table(setting, results, _unaware(setting), "unaware PGD"))


def _adaptive_works(setting: Setting) -> list[Planned]:
    net = _net(setting, DEFENDED)
    return _wanted(setting, net.clean, net.adaptive)


def _adaptive(setting: Setting, results: Results) -> Measured:
    hits, n = _errors(results, _net(setting, DEFENDED).adaptive)
    return share_above(hits, n, 0.5, "digits are wrong", 1)


def _errors(results: Results, work: Work) -> tuple[int, int]:
    rows = results.rows(work, AnswerRow)
    return sum(row.is_error for row in rows), len(rows)


def _table(
    setting: Setting, results: Results, attacked: Work, called: str
) -> tuple[tuple[str, ...], ...]:
    def share(work: Work) -> str:
        hits, n = _errors(results, work)
        return rate(hits / n, n)

    return (
        ("errors of", "clean digits", called),
        ("LeNet behind the denoiser", share(_net(setting, DEFENDED).clean), share(attacked)),
        ("LeNet alone", "", share(_undefended(setting))),
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "hgd", SOURCE, "MNIST, a denoiser guided by the net's logits, PGD at eps .25",
        Published("", "t"),
        "Before a denoiser, an attack that does not know of it fails on most pictures.",
        "Wilson's 95 % interval of the errors on pictures that PGD made on the bare net lies below"
        " one half (fails: above).",
        _SMALL, _oblivious_works, _oblivious, 6,
    ),
    Claim(
        "hgd-break", "Athalye and Carlini 2018 (arXiv 1804.03286)",
        "MNIST, the same denoiser, PGD through it at eps .25",
        Published("100 % of targeted attacks succeed at 4/255 (ImageNet)", "t"),
        "An attack through the denoiser breaks it.",
        "Wilson's 95 % interval of the errors under PGD on denoiser and net as one lies above one"
        " half (fails: below).",
        f"{_SMALL}; untargeted", _adaptive_works, _adaptive, 3, ("hgd",),
    ),
)  # fmt: skip
