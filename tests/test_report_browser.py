"""The report in a real browser: at two widths, in both schemes, on paper, by keyboard, and for a screen reader.

``TOOLBOX_SCREENSHOTS=FOLDER`` keeps the pictures that are taken here; otherwise they go to the test's own folder.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.report_examples import a_run, compared, evaluation, full, hostile, metric, the_data
from toolbox.report.html import render
from toolbox.report.palette import DARK, LIGHT
from toolbox.report.wording import COLUMNS

if TYPE_CHECKING:
    from tests.browser import Browse, Scheme, Visit

pytest_plugins = ("tests.browser",)

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
SIZES = [
    (1280, "light"),
    (390, "dark"),
    pytest.param(1280, "dark", marks=pytest.mark.slow),
    pytest.param(390, "light", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name: a full report, a hostile one, one of many runs, one with every column that results have."""
    many = compared(*(a_run(f"{at:03d}") for at in range(5)), data=the_data())
    every = replace(evaluation(0.9), metrics=dict.fromkeys(COLUMNS, metric(0.9)))
    wide = compared(*(a_run(f"{at:03d}-efficientnet-lite0", evaluation=every) for at in range(2)))
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, inputs in (("full", full()), ("hostile", hostile()), ("many", many), ("wide", wide)):
        found[name] = folder / f"{name}.html"
        found[name].write_text(render(inputs), "utf-8")
    return found


def painted(colour: str) -> list[int]:
    """Red, green, blue of ``rgb(1, 2, 3)`` or ``#010203``."""
    if colour.startswith("#"):
        return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return [int(part) for part in re.findall(r"\d+", colour)]


def violations(seen: Visit) -> list[str]:
    """What axe-core finds that is serious or worse."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(seen.page).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found if each["impact"] in ("serious", "critical")
    ]


def _within(inner: Any, outer: Any) -> bool:
    return all(
        outer[start] < inner[start] and inner[start] + inner[length] < outer[start] + outer[length]
        for start, length in (("x", "width"), ("y", "height"))
    )


@pytest.mark.parametrize(("width", "scheme"), SIZES)
@pytest.mark.parametrize("which", ["full", "hostile"])
def test_a_browser_shows_the_page(
    browse: Browse, pages: dict[str, Path], which: str, width: int, scheme: Scheme
) -> None:
    path = pages[which]
    with browse(path, width, scheme, offline=True) as seen:
        assert seen.page.locator("img").count() > 0 and seen.broken_images == []
        assert seen.console == []
        assert [url for url in seen.requests if not url.startswith("data:")] == [path.resolve().as_uri()]
        assert seen.overflow == 0
        colours = LIGHT if scheme == "light" else DARK
        assert painted(seen.page.evaluate(BACKGROUND)) == painted(colours["paper"])
        inks = seen.page.evaluate("[...document.querySelectorAll('.chart text')].map(t => getComputedStyle(t).fill)")
        roles = ("ink", "muted", "on-weak", "on-strong")
        assert {tuple(painted(ink)) for ink in inks} <= {tuple(painted(colours[role])) for role in roles}


@pytest.mark.parametrize(("width", "scheme"), SIZES)
@pytest.mark.parametrize("which", ["full", "many"])
def test_axe_finds_nothing_serious(
    browse: Browse, pages: dict[str, Path], which: str, width: int, scheme: Scheme
) -> None:
    with browse(pages[which], width, scheme, bypass_csp=True) as seen:  # for axe's own script
        assert violations(seen) == []


def test_axe_would_find_something(browse: Browse, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        "<!doctype html><html lang=en><title>t</title><body><main><img src='data:,'></main></body>", "utf-8"
    )
    with browse(path, 1280) as seen:
        assert any(found.startswith("image-alt") for found in violations(seen))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pictures_of_the_page_are_kept(
    browse: Browse, pages: dict[str, Path], tmp_path: Path, width: int, scheme: Scheme
) -> None:
    folder = Path(os.environ.get("TOOLBOX_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"report-{width}-{scheme}.png"
    with browse(pages["full"], width, scheme) as seen:
        seen.page.screenshot(path=str(picture), full_page=True)
    assert picture.stat().st_size > 50_000


def test_values_show_when_pointed_at(browse: Browse, pages: dict[str, Path]) -> None:
    with browse(pages["full"], 1280) as seen:
        tip = seen.page.locator("#tip")
        assert not tip.is_visible()
        matrix = seen.page.locator(".chart[aria-label='most are right']").first
        matrix.scroll_into_view_if_needed()
        for at, said in enumerate(("9", "1", "1", "9")):
            cell = matrix.locator("[data-tip]").nth(at)
            printed = matrix.locator("text", has_text=re.compile(f"^{said}$")).all()
            assert any(_within(text.bounding_box(), cell.bounding_box()) for text in printed)
            cell.hover(position={"x": 5, "y": 5})
            assert tip.inner_text().split(": ")[1].startswith(said)
        curve = seen.page.locator(".chart[aria-label^='Loss']").first
        curve.scroll_into_view_if_needed()
        curve.locator("use[data-tip]").first.hover()
        assert tip.inner_text() == "training: epoch 1, loss 1.000"
        seen.page.mouse.move(2, 2)
        assert not tip.is_visible() and seen.console == []


def test_without_script_all_of_it_can_be_read(browse: Browse, pages: dict[str, Path]) -> None:
    with browse(pages["full"], 1280, java_script_enabled=False) as seen:
        assert seen.page.locator("h2").first.inner_text() == "Results"
        assert seen.page.locator("table").first.is_visible() and seen.console == []
        assert seen.page.locator(".chart title").first.text_content()


def test_a_script_that_came_in_unescaped_would_not_run(browse: Browse, pages: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    bad = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    path.write_text(pages["full"].read_text("utf-8").replace("<main>", f"<main>{bad}"), "utf-8")
    with browse(path, 1280) as seen:
        assert seen.page.title() == "A report · ws"


def test_on_a_phone_results_are_cards(browse: Browse, pages: dict[str, Path]) -> None:
    with browse(pages["full"], 390) as seen:
        cell = seen.page.locator("#results ~ .scroll td").nth(1)
        assert cell.bounding_box()["width"] > 300  # type: ignore[index]  # it is there
        label = "td => getComputedStyle(td, '::before').content"
        assert seen.page.locator("#results ~ .scroll td").nth(1).evaluate(label) == '"accuracy"'
        widest = (
            "[...document.querySelectorAll('.scroll:has(> .stacks)')].filter(b => b.scrollWidth > b.clientWidth).length"
        )
        assert seen.page.evaluate(widest) == 0


def test_many_runs_are_folded_and_their_links_open_them(browse: Browse, pages: dict[str, Path]) -> None:
    with browse(pages["many"], 1280) as seen:
        assert seen.page.locator("details").count() == 5
        assert not seen.page.get_by_text("Training", exact=True).first.is_visible()
        seen.page.locator("summary").nth(2).click()
        assert seen.page.locator("#run-3 >> xpath=ancestor::details").get_by_text("Training", exact=True).is_visible()


def test_print_is_light_and_hides_nothing(browse: Browse, pages: dict[str, Path]) -> None:
    with browse(pages["wide"], 680, "dark") as seen:  # A4 between margins of 15 mm
        seen.page.emulate_media(media="print")
        assert painted(seen.page.evaluate(BACKGROUND)) == painted(LIGHT["paper"])
        overflows = "[...document.querySelectorAll('.scroll')].map(box => getComputedStyle(box).overflow)"
        assert set(seen.page.evaluate(overflows)) == {"visible"} and seen.overflow == 0
        assert not seen.page.locator("nav").is_visible()
