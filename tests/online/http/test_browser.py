"""The status page in a real browser."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest

from hogwild.online.http.running import start_http

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium and no chrome"),
    pytest.mark.skipif(sys.platform != "linux", reason="flags of the browser on Linux"),
]

HOSTILE = "<img src=x onerror=\"document.title='taken'\"></script>\u202e"


def remember(server, service, group, seconds=600):
    """Give a server a past: it learnt, others joined and left."""
    history, figures = server.history, service.figures
    start = figures.started = figures.started - seconds
    nodes = ["127.0.0.1_9199", "127.0.0.1_9200"]
    for second in range(seconds):
        if second == 100:
            nodes.append(HOSTILE)
        if second == 400:
            nodes.remove("127.0.0.1_9200")
        mixed = start + second // 16 * 16
        service.group = group(nodes, version=second // 16, mixed=mixed, refused={HOSTILE: "another version"})
        figures.learnt += 500 + second % 90
        figures.trials.add(float(second % 11 < 1 + second // 60))
        history._clock = lambda moment=start + second: moment
        history.take()
    figures.calls.update({"train": 12345, "?": 2})
    figures.errors.update({"?": 2})


class Drawn(HTMLParser):
    """What a page shows: its elements with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] not in ("script", "style"):
            self.text += data

    def found(self, tag, **wanted):
        return [one for name, one in self.elements if name == tag and all(one.get(k) == v for k, v in wanted.items())]


async def browse(port, folder, *flags):
    """Return what the browser wrote to its output and its log."""
    browser = await asyncio.create_subprocess_exec(
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
        *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", *flags),
        f"http://127.0.0.1:{port}/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"HOME": str(folder)},
    )
    try:
        out, log = await asyncio.wait_for(browser.communicate(), 120)
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()
    assert browser.returncode == 0, log.decode(errors="replace")
    return out.decode(), log.decode(errors="replace")


def seen(service, folder, before, *flags):
    """Browse a server's page."""

    async def go():
        server = await start_http(service, "127.0.0.1", 0)
        try:
            before(server)
            return await browse(server.port, folder, *flags)
        finally:
            await server.close()

    return asyncio.run(go())


def complaints(log):
    return [line for line in log.splitlines() if "CONSOLE" in line]


def test_every_figure_is_drawn_and_nothing_complains(serve, group, tmp_path):
    service = serve(name=HOSTILE)
    page, log = seen(service, tmp_path, lambda server: remember(server, service, group), "--dump-dom")
    assert not complaints(log)
    drawn = Drawn(page)
    assert "Serving" in drawn.text
    assert not drawn.found("img") and len(drawn.found("script")) == 1
    pictures = drawn.found("svg", role="img")
    assert len(pictures) == 2
    for picture in pictures:
        for name in picture["aria-labelledby"].split():
            assert drawn.found("title", id=name) or drawn.found("desc", id=name)
    lines = [one["d"] for kind in ("first", "second") for one in drawn.found("path", **{"class": kind})]
    assert len(lines) == 3 and all(len(re.findall("[ML]", line)) > 100 for line in lines)
    assert not re.search("NaN|undefined|Infinity", " ".join(lines) + drawn.text)
    assert len(drawn.found("g", **{"class": "event joined"})) == 1
    assert len(drawn.found("g", **{"class": "event left"})) == 2  # in the last minutes, too
    shown = (f"classifier {HOSTILE} at 127.0.0.1_9199", "12,345", "unknown methods", "all 600 trials")
    for text in (*shown, "127.0.0.1_9200 left", f"{HOSTILE} joined", f"Messages with {HOSTILE} are refused"):
        assert text in drawn.text, text


def test_it_updates_itself(serve, tmp_path):
    service = serve()
    asked = []
    service.driver.status = lambda: {"times": str(len(asked))} if asked.append(0) is None else {}
    page, _ = seen(service, tmp_path, lambda server: None, "--dump-dom")
    assert len(asked) > 1 and int(re.search(r"times(\d+)", Drawn(page).text).group(1)) > 1


def test_joins_are_shown_where_nothing_is_right_or_wrong(serve, group, tmp_path):
    service = serve("stat")
    page, log = seen(service, tmp_path, lambda server: remember(server, service, group), "--dump-dom")
    assert not complaints(log)
    drawn = Drawn(page)
    assert "Joined and left" in drawn.text and f"{HOSTILE} joined" in drawn.text
    assert "hidden" in drawn.found("figure", id="progress-figure")[0]


@pytest.mark.parametrize("kind", ["regression", "stat"])
def test_a_server_that_has_done_nothing_is_shown(kind, serve, tmp_path):
    page, log = seen(serve(kind), tmp_path, lambda server: None, "--dump-dom")
    assert not complaints(log)
    drawn = Drawn(page)
    assert "Serving" in drawn.text and "none yet" in drawn.text
    assert not re.search("NaN|undefined|Infinity", drawn.text)


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_phones_and_desks(width, dark, serve, group, tmp_path):
    images = pytest.importorskip("matplotlib.image")
    service = serve(name="news" * 30)
    picture = tmp_path / "page.png"
    flags = [f"--window-size={width},1600", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    flags.append(f"--screenshot={picture}")
    _, log = seen(service, tmp_path, lambda server: remember(server, service, group), *flags)
    assert not complaints(log)
    pixels = images.imread(picture)[..., :3]
    assert pixels.shape == (1600, width, 3)
    back = pixels[0, 0]
    assert (back.mean() < 0.2) == dark
    inked = (abs(pixels - back) > 0.05).any(axis=2)
    assert inked.any(axis=1)[:1000].mean() > 0.5  # it is all there, and within its margins
    assert not inked[:, :14].any() and not inked[:, -14:].any()
