"""Pages of the site that are files of the repository: the guide for plugin authors, CONTRIBUTING.md, CHANGELOG.md."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "plugins/README.md": "how-to/write-a-plugin.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"\[([^\]]+)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, their links rewritten for the site."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=as_page(source, page)))
    return files


def as_page(source: str, page: str) -> str:
    """The text of ``source`` with links relative to ``page``; links to files that are no pages become plain text."""

    def rewrite(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        path = PAGES.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if path is None:
            return link[1]
        return f"[{link[1]}]({posixpath.relpath(path, posixpath.dirname(page) or os.curdir)}{link[3] or ''})"

    return _LINK.sub(rewrite, (ROOT / source).read_text("utf-8"))
