"""Debian's Chromium, for tests of pages, and what every page is required to be."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Browser, Page, sync_playwright

SMALL, LARGE = 320, 1280
"""Widths of screens: the one of WCAG 2.2, 1.4.10 Reflow, and an office's."""

_AXE = "axe.run({resultTypes: ['violations']}).then(({violations}) => ({violations}))"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, and end it; where there is none the test is skipped."""
    found = shutil.which("chromium-headless-shell")
    if found is None:
        pytest.skip("the outside program chromium-headless-shell is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--font-render-hinting=none"])
        yield browser
        browser.close()


def require_for_everyone(page: Page, width: int) -> None:
    """Require that axe finds nothing, and that nothing but boxes of commands has to be moved sideways."""
    page.evaluate(AXE_SCRIPT)
    found = AxeResults(page.evaluate(_AXE))
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
