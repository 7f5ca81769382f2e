"""One office, one browser, for all pages of the console."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.console.office import OfficeServed, office_served


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("the outside program chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def office(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfficeServed]:
    command = Path(sys.executable).with_name("jpki")
    with office_served(tmp_path_factory.mktemp("console"), command, browser) as served:
        yield served
