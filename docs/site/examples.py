"""Examples in docstrings (`>>> f(x)`) become code, where Markdown would see a quotation."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

EXAMPLE = re.compile(r"^(>>> .*(?:\n(?!\n).+)*)", re.MULTILINE)


class Examples(Extension):
    """Puts fences around each run of lines that begins with a prompt."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Called for each module, class, function and attribute as it is read."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = EXAMPLE.sub(r"```pycon\n\1\n```", text)
