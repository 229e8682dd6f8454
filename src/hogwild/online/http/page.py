"""The status page: one file that fetches nothing but figures."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files


def page() -> tuple[bytes, str]:
    """Return the page, and the policy under which browsers run its own script and style and no others."""
    here = files(__package__)
    style, script = (here.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    html = here.joinpath("page.html").read_text("utf-8")
    html = html.replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.encode(), policy


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
