"""The status page's figures, and the page as it is sent."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from hashlib import sha256
from types import SimpleNamespace

from hogwild.online.http.history import History
from hogwild.online.http.status import status_of

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e\udcff"


def test_status_has_members_and_history(serve, group):
    service = serve(name="news")
    history = History(service)
    service.group = group(["b", "a"], actives={"a": 3})
    history.take()
    service.group = group(["b", "a", "c"], actives={"a": 4, "c": 4}, version=4, active=False)
    service.figures.learnt = 7
    service.figures.trials.add(1.0)
    history.take()
    status = status_of(service, history)
    assert status["group"] == {
        "version": 4,
        "active": False,
        "mixed": 1e9,
        "rounds": 2,
        "failed": 1,
        "members": [
            {"node": "a", "active": True, "since": 4},
            {"node": "b", "active": False, "since": None},
            {"node": "c", "active": True, "since": 4},
        ],
    }
    assert "not active" in status["unready"]
    assert status["trials"] == {"count": 1, "mean": 1.0, "recent": 1.0}
    assert status["learner"] == {"labels": "0", "method": "counting"}
    assert status["history"]["life"]["learnt"] == [0, 7]
    assert status["history"]["life"]["mean"] == [None, 1.0]
    assert [(event["node"], event["joined"]) for event in status["history"]["events"]] == [("c", True)]


def test_troubles_are_told(serve, group):
    service = serve()
    assert status_of(service, History(service))["troubles"] == []
    service.journal = SimpleNamespace(failure=OSError(28, "No space left on device"))
    service.group = group(fault="the session is lost", refused={"b": "it is an original server"})
    assert status_of(service, History(service))["troubles"] == [
        "The log cannot be written, and updates are refused: [Errno 28] No space left on device",
        "This server has left its group: the session is lost",
        "Messages with b are refused: it is an original server",
    ]


def test_errors_that_overflow_are_none(serve, ask):
    service = serve("regression")
    service.figures.trials.add(math.inf)
    history = History(service)
    history.take()
    status = status_of(service, history)
    assert status["trials"]["mean"] is None and status["history"]["life"]["mean"] == [None]


def test_names_reach_the_page_as_data_only(serve, group, ask):
    service = serve(name=HOSTILE)
    service.configuration = HOSTILE + "x" * 10_000
    service.driver.status = lambda: {HOSTILE: HOSTILE}
    service.group = group([HOSTILE])
    answer = ask(service, "GET", "/status.json")
    status = json.loads(answer.content)
    assert status["name"] == status["learner"][HOSTILE] == status["group"]["members"][0]["node"] == HOSTILE
    assert len(status["configuration"]) == 4000
    assert answer.headers["content-type"] == "application/json"
    assert b"onerror" not in ask(service, "GET", "/").content


def test_the_page_fetches_nothing_but_figures(serve, ask):
    answer = ask(serve(), "GET", "/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    page = answer.text
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) == {"data:,", "status.json", "metrics", "openapi.json"}
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert f"{tag}-src 'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'" in policy


def test_the_script_makes_no_markup_of_figures(serve, ask):
    page = ask(serve(), "GET", "/").text
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "on" + "click="):
        assert way not in page
