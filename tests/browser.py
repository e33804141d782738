"""A real headless Chromium for tests that look at a page as a reader's browser does.

A test module takes the fixtures in with ``pytest_plugins = ("tests.browser",)``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Scheme = Literal["light", "dark"]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_ARGUMENTS = ("--no-sandbox", "--disable-background-networking")


# Not for the whole session: Playwright keeps an event loop running, which other tests' asyncio.run would refuse.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium: the system's, else Playwright's own; skips where there is neither."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        system = next(filter(None, map(shutil.which, _NAMES)), None)
        path = system or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium here: install chromium, or run 'playwright install chromium'")
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page with what happened while it was open."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    @property
    def broken_images(self) -> list[str]:
        """The alt texts of images that did not load."""
        script = "[...document.images].filter(i => !i.complete || i.naturalWidth === 0).map(i => i.alt)"
        return list(self.page.evaluate(script))


class Browse(Protocol):
    """What the fixture :func:`browse` gives."""

    def __call__(
        self, file: Path, width: int, scheme: Scheme = "light", **context: Any
    ) -> AbstractContextManager[Visit]:
        """Open ``file`` in a window ``width`` pixels wide; ``context``: options of Playwright's ``new_context``."""


@pytest.fixture
def browse(chromium: Browser) -> Browse:
    """Opens files in the headless Chromium."""

    @contextmanager
    def visit(file: Path, width: int, scheme: Scheme = "light", **context: Any) -> Iterator[Visit]:
        size = {"width": width, "height": 900}
        opened = chromium.new_context(viewport=size, color_scheme=scheme, **context)  # type: ignore[arg-type]
        try:
            seen = Visit(opened.new_page())
            seen.page.on("console", lambda message: seen.console.append(message.text))
            seen.page.on("pageerror", lambda error: seen.console.append(str(error)))
            seen.page.on("request", lambda request: seen.requests.append(request.url))
            seen.page.goto(file.resolve().as_uri(), wait_until="load")
            yield seen
        finally:
            opened.close()

    return visit
