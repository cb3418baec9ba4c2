"""What mkdocs does not do by itself: the project's documents outside `docs/` become pages.

- `README.md` is the first page, `CONTRIBUTING.md` and its like are pages of the project, and
  `gallery/` lies where links expect it.
- Links that leave `docs/` lead to these, and links to other files of the repository
  (`../configs/x.yaml`) to pages that show them as text, since the repository has no address here.
- A plot that has a dark sister (`x.png`, `x-dark.png`) is shown as the page is.
- The reference of the command line is what its commands say of themselves.
"""

from __future__ import annotations

import posixpath
import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "index.md",
    "gallery/README.md": "gallery/index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
}
"""Documents outside of `docs/`, and the pages that they are."""
COMMANDS = "<!-- here stand the commands -->"
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".cff": "yaml"}
ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|#|//", re.IGNORECASE)
TOKEN = re.compile(
    r"^(?P<fence>`{3,})[^\n]*\n.*?^(?P=fence)`*[ ]*$"
    r"|(?P<code>`+)(?!`).+?(?<!`)(?P=code)(?!`)"
    r"|<!--.*?-->"
    r"|!\[(?P<alt>[^\]]*)\]\((?P<picture>[^)\s]+)\)"
    r"|\]\((?P<link>[^)\s]+)\)"
    r'|\b(?P<attribute>src|href)="(?P<address>[^"]+)"',
    re.MULTILINE | re.DOTALL,
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """A page that the navigation does not have yet is found under "More"."""
    listed = set(re.findall(r"[\w./-]+\.md", str(config.nav)))
    new = [path.name for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in listed]
    if new and config.nav is not None:
        config.nav.append({"More": new})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that lie outside of `docs/`, and the files that are linked to."""
    for source, page in PAGES.items():
        if (ROOT / source).is_file():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for path in sorted((ROOT / "gallery").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and name not in PAGES:
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for page in [file for file in files if file.is_documentation_page()]:
        text = Path(page.abs_src_path or "").read_text(encoding="utf-8")
        for found in TOKEN.finditer(text):
            target = found["link"] or found["picture"] or found["address"] or ""
            name = _in_repository(page.src_uri, target)
            if name and files.get_file_from_path(_place(name)) is None:
                _show(name, files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where their targets are on the site; give the first page all of its width."""
    if page.file.src_uri == PAGES["README.md"]:
        page.meta["hide"] = ["navigation"]  # it has no sisters to list
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, _commands())
    return TOKEN.sub(partial(_token, page=page, files=files), markdown)


def _token(found: re.Match[str], page: Page, files: Files) -> str:
    whole = found[0]
    if whole.startswith("<!--"):
        return ""
    target = found["link"] or found["picture"] or found["address"]
    if target is None:
        return whole
    name = _in_repository(page.file.src_uri, target)
    if name is None:
        return whole
    _, anchor, fragment = target.partition("#")
    place = _place(name)
    if found["address"]:
        file = files.get_file_from_path(place)
        address = file.url_relative_to(page.file) if file else target
        return f'{found["attribute"]}="{address}{anchor}{fragment}"'
    relative = posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")
    if found["picture"]:
        dark = re.sub(r"(\.\w+)$", r"-dark\1", place)
        if files.get_file_from_path(dark) is not None:
            other = re.sub(r"(\.\w+)$", r"-dark\1", relative)
            return f"![{found['alt']}]({relative}#only-light)![{found['alt']}]({other}#only-dark)"
        return f"![{found['alt']}]({relative})"
    return f"]({relative}{anchor}{fragment})"


def _in_repository(page: str, target: str) -> str | None:
    """The file that a link of `page` means, by its path in the repository; None: elsewhere."""
    if not target or ELSEWHERE.match(target):
        return None
    source = {site: name for name, site in PAGES.items()}.get(page, f"docs/{page}")
    path = unquote(target.partition("#")[0])
    name = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    return None if name.startswith("..") else name


def _place(name: str) -> str:
    """Where a file of the repository lies on the site, as mkdocs names it."""
    if name in PAGES:
        return PAGES[name]
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    return name if name.startswith("gallery/") else f"files/{name}.md"


def _show(name: str, files: Files, config: MkDocsConfig) -> None:
    """Add a page with the text of a file, or the list of a folder and a page for each file."""
    path = ROOT / name
    if path.is_dir():
        lines = []
        for inner in sorted(path.iterdir()):
            if inner.is_file():
                if files.get_file_from_path(_place(f"{name}/{inner.name}")) is None:
                    _show(f"{name}/{inner.name}", files, config)
                lines.append(f"- [{inner.name}]({path.name}/{inner.name}.md)")
        text = "\n".join(lines)
    elif path.is_file():
        content = path.read_text(encoding="utf-8").rstrip()
        text = f"``````{LANGUAGES.get(path.suffix, 'text')}\n{content}\n``````"
    else:
        return  # mkdocs says that the link is broken
    about = f"---\ntitle: {name}\nsearch: {{exclude: true}}\n---\n\n# `{name}`\n\n{text}\n"
    file = File.generated(config, _place(name), content=about)
    files.append(file)


def _commands() -> str:
    import typer
    from typer.cli import get_docs_for_click

    from evofool.cli.app import app

    command: Any = typer.main.get_command(app)
    context = command.make_context("evofool", ["doctor"], resilient_parsing=True)
    written = get_docs_for_click(obj=command, ctx=context, name="evofool")
    written = written.split("\n", 1)[1]  # the page has its heading
    return re.sub(r"^(#+) `evofool (\w+)`", r"\1 evofool \2", written, flags=re.MULTILINE)
