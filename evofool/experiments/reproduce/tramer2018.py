"""Claims of Tramèr et al., ICLR 2018 (arXiv 1705.07204): Tables 1 and 2 on ImageNet, 4 in small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evofool.experiments.engine import Planned, Results, Work
from evofool.experiments.reproduce.claims import (
    Claim,
    Measured,
    Pair,
    Published,
    each_larger,
    more_often,
)
from evofool.experiments.reproduce.imagenets import ImageNets
from evofool.experiments.reproduce.setting import Setting
from evofool.experiments.transfer.works import Ranked, RankRow
from evofool.experiments.works.answers import AnswerRow
from evofool.experiments.works.trained import Trained
from evofool.text import rate

SOURCE = "Tramèr et al., ICLR 2018"
_ON_DIGITS = (
    "net B on MNIST, three epochs of training at the small scale, instead of Inception v3; net A is"
    " the one attacker"
)
_ON_IMAGENET = (
    "EfficientNet-Lite nets, none adversarially trained, instead of Inception ones; a thousand"
    " pictures that the nets may have been trained on, or some of them, instead of 10,000"
)


# Tables 1 and 2: Step-LL and R+Step-LL among nets of ImageNet


def _cell(nets: ImageNets, source: str, target: str) -> Ranked:
    return nets.shown(nets.step_ll(source), target)


def _table_1_works(setting: Setting) -> list[Planned]:
    nets = setting.imagenets
    works = [Planned(f"clean pictures, {name}", nets.clean(name)) for name in nets.names]
    for source in nets.names:
        works.append(Planned(f"Step-LL on {source}", nets.step_ll(source)))
        works += [
            Planned(f"Step-LL from {source} to {target}", _cell(nets, source, target))
            for target in nets.names
        ]
    return works


def _table_1(setting: Setting, results: Results) -> Measured:
    nets = setting.imagenets
    rows = {
        (source, target): results.rows(_cell(nets, source, target), RankRow)
        for source in nets.names
        for target in nets.names
    }
    pairs = [
        Pair(
            f"{_short(target)}: its own pictures, those of {_short(source)}",
            _errors(rows[target, target]),
            _errors(rows[source, target]),
        )
        for target in nets.names
        for source in nets.names
        if source != target
    ]
    table = [("top-1 | top-5 errors of", "clean", *(f"from {_short(n)}" for n in nets.names))]
    for target in nets.names:
        clean = results.rows(nets.clean(target), RankRow)
        cells = [clean, *(rows[source, target] for source in nets.names)]
        table.append((_short(target), *(_top_1_and_5(cell) for cell in cells)))
    return replace(each_larger(pairs, 1), table=tuple(table))


def _table_2_works(setting: Setting) -> list[Planned]:
    nets, works = setting.imagenets, []
    for name in nets.names:
        for called, crafted in (
            ("Step-LL", nets.step_ll(name)),
            ("R+Step-LL", nets.random_first(name)),
        ):
            works += [
                Planned(f"{called} on {name}", crafted),
                Planned(f"{called} from {name} to {name}", nets.shown(crafted, name)),
            ]
    return works


def _table_2(setting: Setting, results: Results) -> Measured:
    nets, pairs = setting.imagenets, []
    table = [("top-1 | top-5 errors of", "R+Step-LL", "Step-LL")]
    for name in nets.names:
        crafted = (nets.random_first(name), nets.step_ll(name))
        first, second = (results.rows(nets.shown(each, name), RankRow) for each in crafted)
        pairs.append(Pair(_short(name), _errors(first), _errors(second)))
        table.append((_short(name), _top_1_and_5(first), _top_1_and_5(second)))
    return replace(each_larger(pairs, 1), table=tuple(table))


def _errors(rows: Sequence[RankRow], top: int = 1) -> tuple[int, int]:
    return sum(row.rank is None or row.rank >= top for row in rows), len(rows)


def _top_1_and_5(rows: Sequence[RankRow]) -> str:
    return " | ".join(rate(hits / n, n) for hits, n in (_errors(rows), _errors(rows, 5)))


def _short(name: str) -> str:
    return name.removeprefix("imagenet-efficientnet-")


# Table 4, and what Table 2 says of an adversarially trained net, on digits


def _judged(setting: Setting, *nets: Trained) -> list[Planned]:
    """Clean, white-box and black-box errors of some nets, with all trainings."""
    own = setting.adversarial
    works = [*own.trainings(*nets), *own.trainings(own.attacker)]
    works.append(Planned(f"Step-LL on {own.attacker.name}", own.white(own.attacker)))
    for net in nets:
        works += [
            Planned(f"clean digits, {net.name}", own.clean(net)),
            Planned(f"Step-LL on {net.name}", own.white(net)),
            Planned(f"Step-LL from {own.attacker.name} to {net.name}", own.black(net)),
        ]
    return works


def _table_4_works(setting: Setting) -> list[Planned]:
    own = setting.adversarial
    return _judged(setting, own.plain, own.fgsm, own.ensemble)


def _wrong(results: Results, work: Work) -> tuple[int, int]:
    rows = results.rows(work, AnswerRow)
    return sum(row.is_error for row in rows), len(rows)


def _lines(setting: Setting, results: Results, *nets: Trained) -> tuple[tuple[str, ...], ...]:
    own = setting.adversarial
    lines: list[tuple[str, ...]] = [("errors of", "clean", "white box", "black box")]
    for net in nets:
        counts = [_wrong(results, w) for w in (own.clean(net), own.white(net), own.black(net))]
        lines.append((net.name, *(rate(hits / n, n) for hits, n in counts)))
    return tuple(lines)


def _table_4(setting: Setting, results: Results) -> Measured:
    own = setting.adversarial
    alone, ensemble = (_wrong(results, own.black(net)) for net in (own.fgsm, own.ensemble))
    measured = more_often(alone, ensemble, ("its own pictures only", "an ensemble's"), 1)
    return replace(measured, table=_lines(setting, results, own.plain, own.fgsm, own.ensemble))


def _masked_works(setting: Setting) -> list[Planned]:
    return _judged(setting, setting.adversarial.fgsm)


def _masked(setting: Setting, results: Results) -> Measured:
    own = setting.adversarial
    black, white = (_wrong(results, w) for w in (own.black(own.fgsm), own.white(own.fgsm)))
    measured = more_often(black, white, ("black box", "white box"), 1)
    return replace(measured, table=_lines(setting, results, own.fgsm))


def _random_step_works(setting: Setting) -> list[Planned]:
    own = setting.adversarial
    return [
        *own.trainings(own.fgsm),
        Planned(f"Step-LL on {own.fgsm.name}", own.white(own.fgsm)),
        Planned(f"R+Step-LL on {own.fgsm.name}", own.random_first(own.fgsm, setting.seed)),
    ]


def _random_step(setting: Setting, results: Results) -> Measured:
    own = setting.adversarial
    works = own.random_first(own.fgsm, setting.seed), own.white(own.fgsm)
    first, second = (_wrong(results, work) for work in works)
    return more_often(first, second, ("R+Step-LL", "Step-LL"), 1)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "table1", SOURCE, "ImageNet, Table 1: Step-LL from net to net, eps 16/256",
        Published(
            "top-1 errors on its own pictures and, at most, on others': v4 60.2 and 39.2 %, v3"
            " 69.6 and 43.8 %, IRv2 50.7 and 38.0 %", "t",
        ),
        "An undefended net errs more on one-step pictures made on itself than on those made on any"
        " other net.",
        "Fisher's exact test of the top-1 errors for every pair of nets, one-sided at .05; holds if"
        " all are in favour (fails: one of them is against at .05 by their number).",
        _ON_IMAGENET, _table_1_works, _table_1, 5,
    ),
    Claim(
        "table2", SOURCE, "ImageNet, Table 2, white-box row: R+Step-LL, eps 16/256, alpha eps/2",
        Published(
            "top-1 errors under R+Step-LL and Step-LL: v4 70.5 and 60.2 %, v3 80.0 and 69.6 %, IRv2"
            " 56.3 and 50.7 %", "t",
        ),
        "A random step before the one step makes the white-box attack stronger, even on an"
        " undefended net.",
        "Fisher's exact test of the top-1 errors for every net, one-sided at .05; holds if all are"
        " in favour (fails: one of them is against at .05 by their number).",
        _ON_IMAGENET, _table_2_works, _table_2, 2, ("table1",),
    ),
    Claim(
        "table2-masked", SOURCE, "R+Step-LL on an adversarially trained net",
        Published(
            "top-1 errors under R+Step-LL and Step-LL: v3adv 64.8 and 26.6 %, IRv2adv 37.5 and"
            " 21.4 % (ImageNet)", "t",
        ),
        "A net that was trained on its own one-step pictures errs more once a random step comes"
        " before the one step: its gradients are masked.",
        "Fisher's exact test of the errors, one-sided at .05 (fails: the other way round).",
        _ON_DIGITS, _random_step_works, _random_step, 3,
    ),
    Claim(
        "table4-masked", SOURCE, "Table 4: adversarial training on a net's own pictures",
        Published("errors in the white box 26.6 %, at most in the black box 40.8 % (v3adv)", "t"),
        "A net that was trained on its own one-step pictures errs more on another net's pictures"
        " than on its own.",
        "Fisher's exact test of black-box against white-box errors, one-sided at .05 (fails: the"
        " other way round).",
        _ON_DIGITS, _masked_works, _masked, 2, ("table2-masked",),
    ),
    Claim(
        "table4", SOURCE, "Table 4: ensemble adversarial training",
        Published("black-box errors at most 40.8 % (v3adv) and 34.0 % (v3adv-ens3)", "t"),
        "Training on other nets' one-step pictures as well lowers the black-box errors of"
        " adversarial training.",
        "Fisher's exact test of the errors on pictures of a net that neither was trained on,"
        " one-sided at .05 (fails: the other way round).",
        _ON_DIGITS, _table_4_works, _table_4, 8, ("table4-masked",),
    ),
)  # fmt: skip
