"""The OpenAPI description."""

from __future__ import annotations

import json

import jsonschema
import pytest

from hogwild.online.http.names import arguments_of
from hogwild.online.methods import TYPES, methods_of


def references(tree):
    if isinstance(tree, dict):
        if "$ref" in tree:
            yield tree["$ref"]
        tree = tree.values()
    if isinstance(tree, (list, type({}.values()))):
        for one in tree:
            yield from references(one)


def schemas(tree):
    """All JSON Schemas of a description."""
    if isinstance(tree, dict):
        if isinstance(tree.get("schema"), dict):
            yield tree["schema"]
        for one in tree.values():
            yield from schemas(one)


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_method_is_described(kind, serve, ask):
    description = ask(serve(kind), "GET", "/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    operations = [one for path in description["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for name, method in methods_of(kind).items():
        operation = description["paths"][f"/{name}"]["post"]
        assert operation["operationId"] == name and operation["summary"] == method.about
        body = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"][0]
        assert tuple(body["properties"]) == arguments_of(kind, name)
        assert operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert {"400", "404", "409", "413", "422", "503"} <= operation["responses"].keys()
    for reference in references(description):
        place = description
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for schema in (*schemas(description["paths"]), *description["components"]["schemas"].values()):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_requests_fit_their_description(serve, ask):
    description = ask(serve(), "GET", "/openapi.json").json()
    body = description["paths"]["/train"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator(body | {"components": description["components"]})
    example = {"label": "a", "datum": {"x": 1, "y": "text", "z": {"base64": ""}}}
    assert validator.is_valid({"examples": [example]}) and validator.is_valid([[example]])
    more = {"examples": [{**example, "x": 1}]}
    for wrong in ({"examples": [{"label": "a"}]}, {"examples": [{"label": 1, "datum": {}}]}, {}, [], [[], []], more):
        assert not validator.is_valid(wrong), wrong


def test_paths_of_methods_and_views_do_not_meet(serve, ask):
    for kind in TYPES:
        paths = ask(serve(kind), "GET", "/openapi.json").json()["paths"]
        assert all(len(operations) == 1 for operations in paths.values())


def test_no_page_needs_the_network(serve, ask):
    for path in ("/docs", "/redoc"):
        assert ask(serve(), "GET", path).status_code == 404
    assert json.loads(ask(serve(), "GET", "/openapi.json").text)["info"]["title"] == "hogwild classifier"
