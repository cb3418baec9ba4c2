"""The short form of a campaign against several nets: ``victims: [a, b]``, ``ensemble: least``."""

from __future__ import annotations

from evofool.config.document import Document
from evofool.validation import describe_type

NETS, RULE = "victims", "ensemble"


def with_victims(document: Document) -> Document:
    """`document` with its ``victims`` as the one ``classifier`` that they are together.

    ``victims: [a, b]`` with ``ensemble: mean`` is ``classifier: {ensemble: [a, b], rule: mean}``;
    without ``ensemble`` the rule is ``least``.

    Raises:
        ConfigError: both forms, no list, or ``ensemble`` without ``victims``.
    """
    data = document.data
    if NETS not in data:
        if RULE in data:
            mend = (
                "set classifier.rule"
                if isinstance(data.get("classifier"), dict) and "ensemble" in data["classifier"]
                else f"list the nets under `{NETS}`"
            )
            raise document.error(RULE, f"says how the nets of `{NETS}` count together; {mend}")
        return document
    nets, rule = data[NETS], data.get(RULE, "least")
    if "classifier" in data:
        raise document.error(NETS, "are given besides a classifier; keep one of the two")
    if not isinstance(nets, list | tuple):
        raise document.error(NETS, f"must be a list of nets, not {describe_type(nets)}")
    if rule not in ("least", "mean"):
        raise document.error(RULE, f"must be least or mean, not {str(rule)[:60]!r}")
    place = document.place((NETS,))
    for index in range(len(nets)):
        _check_net(document, index, nets[index])
    moved = {
        ("classifier", "ensemble", *path[1:]): at
        for path, at in document.places.items()
        if path[:1] == (NETS,) and len(path) > 1
    }
    document = document.removed((NETS,), place)
    if RULE in data:
        document = document.removed((RULE,), document.place((RULE,)))
    document = document.replaced(("classifier",), {"ensemble": list(nets), "rule": rule}, place)
    return document.placed(moved)


def _check_net(document: Document, index: int, net: object) -> None:
    if not isinstance(net, str | dict):
        raise document.error(
            (NETS, index), f"must be a name or a mapping of a net, not {describe_type(net)}"
        )
    if isinstance(net, dict) and net.get("ensemble") is not None:
        raise document.error((NETS, index), "is itself an ensemble; list its nets instead")
