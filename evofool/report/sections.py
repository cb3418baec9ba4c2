"""Pages of sections with tables, figures and pictures, which need no template of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evofool.report.page import Pages
from evofool.report.tables import Table


@dataclass(frozen=True)
class Figure:
    """A figure that `evofool.report.figures.light_and_dark` drew.

    Attributes:
        name: as it was drawn by, without ``.png``.
        about: what is to be seen, for those who cannot see it.
    """

    name: str
    about: str


@dataclass(frozen=True)
class Picture:
    """An image beside the page, such as a champion.

    Attributes:
        file: relative to the page.
        label: in one line below it.
        note: below the label.
    """

    file: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a page; what is empty is left out.

    Attributes:
        title: its heading.
        note: how it is to be read.
        figures: come first.
        tables: come after the figures.
        pictures: come last.
        abreast: whether figures stand side by side where a screen is wide enough.
        strips: whether each picture is many in one, and has the width of the page.
    """

    title: str
    note: str = ""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    abreast: bool = False
    strips: bool = False


def sections_page(
    title: str,
    sections: Sequence[Section],
    *,
    subject: str = "",
    lede: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    files: Sequence[str] = (),
) -> str:
    """A page as HTML text. All texts may be anyone's: they are shown as text.

    Args:
        title: of the page.
        sections: in their order.
        subject: what kind of report it is, beside the name of the program.
        lede: paragraphs below the title: what came out.
        facts: of the run, by name, at the foot of the page.
        files: of the run folder that are linked at the foot, relative to it.
    """
    return Pages().render(
        "sections.html",
        title=title,
        subject=subject,
        lede=lede,
        sections=sections,
        facts=facts or {},
        files=files,
    )
