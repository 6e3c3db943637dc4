"""Operations of OpenAPI documents as tools, and what is wrong in a document."""

# ruff: noqa: E501 -- the mistakes are a table

import json
from datetime import date
from typing import Annotated, Any

import pytest
import yaml
from fastapi import FastAPI, Query
from pydantic import BaseModel, Field

from services.brain.tools.openapi import operation_of
from services.brain.tools.openapi_document import OpenApiDocument, OpenApiMistake

CLINIC = """
openapi: 3.0.3
info: {title: Clinic, version: 2026-01-01}
servers:
  - url: https://{region}.clinic.example/v1/
    variables: {region: {default: eu}}
paths:
  /slots:
    get:
      operationId: findSlots
      summary: Free times.
      parameters:
        - {$ref: '#/components/parameters/Day'}
        - {name: tag, in: query, schema: {type: array, items: {type: string}}, explode: false}
        - {name: X-Clinic, in: header, required: true, schema: {type: integer}}
        - {name: Authorization, in: header, required: true, schema: {type: string}}
        - {name: filter, in: query, style: deepObject, schema: {type: object}}
        - {name: session, in: cookie, schema: {type: string}}
  /slots/{slot-id}:
    parameters:
      - {name: slot-id, in: path, required: true, schema: {type: string}, description: From findSlots.}
    put:
      operationId: bookSlot
      description: |
        Books a slot.
        Twice is once.
      requestBody:
        required: true
        content:
          text/plain: {}
          application/json: {schema: {$ref: '#/components/schemas/Booking'}}
    delete: {}
  /notes:
    post:
      operationId: addNotes
      servers: [{url: http://notes.example}]
      requestBody:
        content: {application/vnd.clinic+json: {schema: {type: array, items: {type: string}}}}
components:
  parameters:
    Day: {name: day, in: query, required: true, schema: {type: string, format: date, default: 2026-01-01}}
  schemas:
    Booking:
      type: object
      required: [name, id]
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string, nullable: true}
        age: {type: integer, minimum: 0, exclusiveMinimum: true, example: 3}
        guest: {$ref: '#/components/schemas/Booking'}
"""


def document(text: str = CLINIC) -> OpenApiDocument:
    return OpenApiDocument(text)


def changed(**paths: Any) -> OpenApiDocument:
    """A small document with one operation `op`, written otherwise."""
    operation = {"operationId": "op", **paths}
    return OpenApiDocument(
        json.dumps({"openapi": "3.1.0", "servers": [{"url": "http://crm"}], "paths": {"/x/{id}": {"post": operation}}})
    )


ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}


def test_parameters_and_description_come_from_the_document() -> None:
    found = operation_of(document(), "findSlots")
    assert (found.method, found.url) == ("GET", "https://eu.clinic.example/v1/slots")
    assert found.description == "Free times."
    assert found.parameters == {
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date", "default": "2026-01-01"},
            "tag": {"type": "array", "items": {"type": "string"}},
            "X-Clinic": {"type": "integer"},
        },
        "required": ["day", "X-Clinic"],
        "additionalProperties": False,
    }
    request = found.request({"day": "2026-12-01", "tag": ["a", "b"], "X-Clinic": 3})
    assert request.query == (("day", "2026-12-01"), ("tag", "a,b"))
    assert request.headers == {"X-Clinic": "3"}


def test_headers_of_the_operator_are_no_arguments() -> None:
    found = operation_of(document(), "findSlots", given_headers=["x-clinic"])
    assert "X-Clinic" not in found.parameters["properties"]


def test_a_body_becomes_arguments() -> None:
    found = operation_of(document(), "bookSlot")
    assert found.description == "Books a slot. Twice is once."
    properties = found.parameters["properties"]
    assert properties["slot-id"] == {"type": "string", "description": "From findSlots."}
    assert properties["name"] == {"type": ["string", "null"]}
    assert properties["age"] == {"type": "integer", "exclusiveMinimum": 0}
    assert properties["guest"] == {}  # a booking in a booking in a …
    assert found.parameters["required"] == ["slot-id", "name"]
    request = found.request({"slot-id": "7/8", "name": "Jo"})
    assert (request.url, request.json) == ("https://eu.clinic.example/v1/slots/7%2F8", {"name": "Jo"})


def test_a_body_that_is_no_object_is_one_argument() -> None:
    found = operation_of(document(), "addNotes")
    assert found.url == "http://notes.example/notes"
    assert found.parameters["properties"] == {"body": {"type": "array", "items": {"type": "string"}}}
    assert found.request({"body": ["a"]}).json == ["a"]


def test_an_operation_without_an_id_goes_by_its_place() -> None:
    assert operation_of(document(), "DELETE /slots/{slot-id}").method == "DELETE"


def test_the_server_can_be_given() -> None:
    assert operation_of(document(), "findSlots", "http://127.0.0.1:9/").url == "http://127.0.0.1:9/slots"


def test_json_is_read_too() -> None:
    loaded = yaml.safe_load(CLINIC.replace("2026-01-01", "'2026-01-01'"))
    found = operation_of(OpenApiDocument(json.dumps(loaded, indent="\t")), "bookSlot")
    assert found.parameters == operation_of(document(), "bookSlot").parameters


def test_two_arguments_of_one_name_stay_two() -> None:
    body = {"content": {"application/json": {"schema": {"type": "object", "properties": {"id": {"type": "string"}}}}}}
    found = operation_of(changed(parameters=[ID], requestBody=body), "op")
    request = found.request({"id": 1, "body_id": "b"})
    assert (request.url, request.json) == ("http://crm/x/1", {"id": "b"})


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("findSlot", "no operation 'findSlot'; did you mean 'findSlots'?"),
        ("zzz", "known: DELETE /slots/{slot-id}, addNotes, bookSlot, findSlots"),
    ],
)
def test_an_unknown_operation(name: str, what: str) -> None:
    with pytest.raises(OpenApiMistake, match="the document has") as told:
        operation_of(document(), name)
    assert what in told.value.what
    assert (told.value.path, told.value.field) == (None, "operation")


@pytest.mark.parametrize("servers", ["servers: [{url: /v1}]", "servers: [{url: 'https://{host}'}]", ""])
def test_a_document_that_names_no_address(servers: str) -> None:
    text = f"openapi: 3.1.0\n{servers}\npaths: {{/x: {{get: {{operationId: op}}}}}}\n"
    with pytest.raises(OpenApiMistake, match=r"give `openapi\.server`") as told:
        operation_of(document(text), "op")
    assert (told.value.path, told.value.field) == (None, "server")
    assert operation_of(document(text), "op", "http://crm").url == "http://crm/x"


@pytest.mark.parametrize(
    ("operation", "path", "what"),
    [
        ({}, (), "no parameter `in: path` says what {id} is"),
        ({"parameters": [{**ID, "in": "cookie", "required": True}]}, ("parameters", 0), "`in: cookie`, which is not"),
        ({"parameters": [{**ID, "style": "matrix"}]}, ("parameters", 0), "`style: matrix`, which is not supported"),
        ({"parameters": [{**ID, "schema": {"type": "object"}}]}, ("parameters", 0), "an object in the path"),
        ({"parameters": [{"in": "path"}]}, ("parameters", 0), "parameter 1 has no name"),
        ({"parameters": 3}, ("parameters",), "expected a list"),
        ({"parameters": [ID], "requestBody": {"required": True, "content": {"text/xml": {}}}}, ("requestBody", "content"), "only a JSON body"),
        ({"parameters": [{**ID, "schema": {"$ref": "other.yaml#/Id"}}]}, ("parameters", 0, "schema", "$ref"), "'other.yaml#/Id' is in another file"),
        ({"parameters": [{**ID, "schema": {"$ref": "#/components/Id"}}]}, ("parameters", 0, "schema", "$ref"), "there is nothing at '#/components/Id'"),
        ({"parameters": [{**ID, "schema": {"type": "strnig"}}]}, (), "not a JSON schema"),
        ({"parameters": [{**ID, "schema": {"allOf": {}}}]}, ("parameters", 0, "schema", "allOf"), "expected a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(operation: dict[str, Any], path: tuple[Any, ...], what: str) -> None:
    with pytest.raises(OpenApiMistake) as told:
        operation_of(changed(**operation), "op")
    assert told.value.path == ("paths", "/x/{id}", "post", *path)
    assert what in told.value.what


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("openapi: 3.0.0\npaths: [\n", 3, "not YAML"),
        ('{"openapi": "3.0.0",\n "paths": }', 2, "not JSON"),
        ("- a\n", 0, "expected an OpenAPI document"),
        ("swagger: '2.0'\n", 0, "Swagger 2.0: convert it first"),
        ("openapi: 4.0.0\n", 0, "expected `openapi: 3.0.x` or `3.1.x`, not '4.0.0'"),
        ("{" * 3000, 0, ""),
    ],
)
def test_a_document_that_is_none(text: str, line: int, what: str) -> None:
    with pytest.raises(OpenApiMistake) as told:
        document(text)
    assert what in told.value.what
    assert not line or told.value.line == line


def test_lines() -> None:
    read = document()
    assert read.line_of(("paths", "/slots", "get", "parameters", 1)) == 14
    assert read.line_of(("paths", "/slots", "get", "nothing")) == 9
    assert read.line_of(()) == 1


def test_a_schema_too_big_for_a_model_is_refused() -> None:
    wide = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(2000)}}
    body = {"content": {"application/json": {"schema": wide}}}
    with pytest.raises(OpenApiMistake, match="too many for a model"):
        operation_of(changed(parameters=[ID], requestBody=body), "op")


class Guest(BaseModel):
    name: str
    age: int | None = None


class Booking(BaseModel):
    name: str = Field(min_length=2)
    day: date
    guests: list[Guest] = []


def test_what_fastapi_writes_is_understood() -> None:
    app = FastAPI()

    @app.get("/slots", operation_id="find")
    def find(day: date | None = None, part: Annotated[list[str], Query()] = []) -> None:  # noqa: B006
        """Free times."""

    @app.post("/slots/{slot}", operation_id="book")
    def book(slot: int, booking: Booking) -> None:
        """Book a time."""

    document = OpenApiDocument(json.dumps(app.openapi()))
    found = operation_of(document, "find", "http://clinic")
    assert found.description == "Free times."
    assert found.parameters["properties"] == {
        "day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        "part": {"type": "array", "default": [], "items": {"type": "string"}},
    }
    booked = operation_of(document, "book", "http://clinic")
    assert booked.parameters["required"] == ["slot", "name", "day"]
    assert booked.parameters["properties"]["guests"]["items"]["required"] == ["name"]
    assert booked.request({"slot": 3, "name": "Jo"}).url == "http://clinic/slots/3"
