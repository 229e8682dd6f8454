"""Checks of a page: npm's html-validate, and Debian's chromium through its driver."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REQUIRED = os.environ.get("HOGWILD_REQUIRE_BROWSER") == "1"
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def lacking(what):
    """Skip the test, or fail where everything has to be there."""
    (pytest.fail if REQUIRED else pytest.skip)(what)


# ------------------------------------------------------------------------------------------------ html-validate


def html_validate():
    """Return the program that package.json pins, installed beside it if it is not there yet."""
    pinned = json.loads((HERE / "package.json").read_text())["devDependencies"]["html-validate"]
    folder = HERE / "node_modules"
    program, about = folder / ".bin" / "html-validate", folder / "html-validate" / "package.json"
    if not program.exists() or json.loads(about.read_text())["version"] != pinned:
        if shutil.which("npm") is None:
            lacking("no npm, which installs html-validate")
        words = ("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
        try:
            subprocess.run(words, cwd=HERE, capture_output=True, text=True, timeout=240, check=True)
        except subprocess.SubprocessError as error:
            lacking(f"npm cannot install html-validate: {(error.stderr or str(error)).strip()[-500:]}")
    return program


def complaints(program, page):
    """Return what html-validate says of a page, a line each.

    Its recommended rules, but for the one on long titles, which search engines cut: ours name the user's files.
    """
    words = (program, "--config", HERE / ".htmlvalidate.json", "--formatter", "text", page)
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    told = done.stdout.splitlines()
    assert done.returncode == bool(told) and not done.stderr, done.stderr
    return told


# ------------------------------------------------------------------------------------------------ chromium


@contextmanager
def chromium(folder):
    """Start a browser with an empty profile in `folder`; yields its driver."""
    try:
        from selenium import webdriver
    except ImportError:
        lacking("no selenium")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        lacking("no chromium, or no chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver, env=os.environ | {"HOME": str(folder)})
    running = webdriver.Chrome(options, service)
    try:
        yield running
    finally:
        running.quit()


def load(driver, page, width):
    """Show a local page in a window so wide; returns the addresses that it asked for."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get_log("performance")
    driver.get(page.as_uri())
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]


def screenshot(driver, path):
    """Save the whole page."""
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    path.write_bytes(base64.b64decode(taken["data"]))


MEASURE = """
const inside = (box, outer, by = 1) => box.left >= outer.left - by && box.right <= outer.right + by
  && box.top >= outer.top - by && box.bottom <= outer.bottom + by;
const page = document.documentElement;
const whole = {left: 0, top: 0, right: page.clientWidth, bottom: page.scrollHeight};
const pictures = [...document.querySelectorAll("svg, figure, img, canvas")].map(each => {
  const box = each.getBoundingClientRect();
  const texts = [...each.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
  const cut = ([, rect]) => !inside(rect, box, Math.min(rect.width, rect.height) / 4); // a line is higher than letters
  const paths = [...each.querySelectorAll("path")];
  return {
    name: each.getAttribute("aria-label") || each.tagName,
    tag: each.tagName.toLowerCase(),
    width: box.width,
    height: box.height,
    inside: inside({left: box.left, right: box.right, top: box.top + scrollY, bottom: box.bottom + scrollY}, whole),
    longest: Math.max(0, ...paths.map(path => path.getTotalLength())),
    texts: texts.length,
    cut: texts.filter(cut).map(([text]) => text.trim()),
  };
});
return {
  pictures,
  headings: document.querySelectorAll("h1").length,
  overflow: page.scrollWidth - page.clientWidth,
  fetched: performance.getEntriesByType("resource").map(each => each.name),
};
"""


def measure(driver):
    """Return what is on the page and how large."""
    return driver.execute_script(MEASURE)
