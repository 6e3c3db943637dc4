"""tools.yaml and its OpenAPI documents: every kind of mistake is told with file, line, key and what is expected."""

# ruff: noqa: E501 -- the mistakes are a table

from pathlib import Path

import pytest

from services.brain.agent import Agent, AgentInvalid, load_agent
from services.brain.tools.declaration import HttpDeclaration, OpenApiDeclaration
from services.brain.tools.toolbox import ToolBox

AGENT = "name: shop\ngreeting: Hello!\nprompts: {system: system.md}\nmodel: openai/any\ntools: tools.yaml\n"
PLAIN = "tools:\n  - name: order\n    description: Order a shirt.\n    method: POST\n    url: http://shop:9/orders/{colour}\n    side_effect: true\n    parameters: {type: object, properties: {colour: {type: string}}}\n"
OPENAPI = (
    "tools:\n  - name: order\n    openapi: {document: shop.yaml, operation: orderShirt}\n    say_while: One moment.\n"
)
SHOP = """openapi: 3.1.0
servers: [{url: "http://shop:9/v1"}]
paths:
  /orders/{colour}:
    get:
      operationId: seeOrders
      summary: Orders of a colour.
      parameters:
        - {name: colour, in: path, required: true, schema: {type: string}}
    post:
      operationId: orderShirt
      summary: Order a shirt.
      parameters:
        - {name: colour, in: path, required: true, schema: {type: string}}
        - {name: size, in: query, schema: {type: integer}}
      requestBody:
        content:
          application/json:
            schema: {type: object, properties: {name: {type: string}}}
"""


def folder(tmp_path: Path, tools: str, shop: str = SHOP) -> Path:
    for name, text in {"agent.yaml": AGENT, "system.md": "Sell.", "tools.yaml": tools, "shop.yaml": shop}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def load(tmp_path: Path, tools: str, shop: str = SHOP) -> Agent:
    return load_agent(folder(tmp_path, tools, shop), {"TOKEN": "s3cret"})


def mistakes(tmp_path: Path, tools: str, shop: str = SHOP) -> list[str]:
    with pytest.raises(AgentInvalid) as refused:
        load(tmp_path, tools, shop)
    return [str(mistake) for mistake in refused.value.mistakes]


def test_a_plain_request_with_all_that_can_be_said(tmp_path: Path) -> None:
    more = (
        "    deadline_ms: 2000\n    retries: 2\n    idempotent: false\n    parallel: true\n"
        "    bulkhead: {name: crm, at_once: 3, wait_ms: 200}\n    say_while: [One moment., Let me see.]\n"
        "    say_failed: Sorry.\n    headers: {Authorization: 'Bearer ${TOKEN}'}\n"
        "    result: {keep: [id, lines.name], items: 3, characters: 100, depth: 3, max_bytes: 1000}\n"
    )
    tool = load(tmp_path, PLAIN + more).tools[0]
    assert isinstance(tool, HttpDeclaration)
    assert tool.headers["Authorization"].get_secret_value() == "Bearer s3cret"
    assert "s3cret" not in repr(tool)
    assert (tool.say_while, tool.say_while_sentences) == ("One moment.", ("One moment.", "Let me see."))
    assert (tool.bulkhead.name, tool.bulkhead.at_once, tool.result.keep) == ("crm", 3, ("id", "lines.name"))
    assert tool.runs_in_parallel
    assert not tool.may_repeat("key")


def test_what_is_not_said_is_careful(tmp_path: Path) -> None:
    tool = load(tmp_path, PLAIN + "    bulkhead: crm\n").tools[0]
    assert (tool.retries, tool.idempotent, tool.say_while, tool.bulkhead.name) == (1, True, "", "crm")
    assert not tool.runs_in_parallel
    assert tool.may_repeat("key")
    assert not tool.may_repeat("")


def test_an_operation_says_what_the_tool_does_not(tmp_path: Path) -> None:
    look = "  - {name: see, description: Mine., openapi: 'shop.yaml#seeOrders', deadline_ms: 900}\n"
    agent = load(tmp_path, OPENAPI + look)
    order, see = agent.tools
    assert isinstance(order, OpenApiDeclaration)
    assert isinstance(see, OpenApiDeclaration)
    assert (order.description, order.side_effect, order.say_while) == ("Order a shirt.", True, "One moment.")
    assert list(order.parameters["properties"]) == ["colour", "size", "name"]
    assert order.operation.url == "http://shop:9/v1/orders/{colour}"
    assert (see.description, see.side_effect, see.deadline_ms) == ("Mine.", False, 900)
    assert [tool["function"]["name"] for tool in ToolBox(agent.tools).openai_tools()][:2] == ["order", "see"]


def test_the_tool_may_say_it_otherwise(tmp_path: Path) -> None:
    more = "    side_effect: false\n    parameters: {type: object, properties: {colour: {enum: [red]}}}\n"
    tool = load(tmp_path, OPENAPI + more).tools[0]
    assert not tool.side_effect
    assert tool.parameters["properties"] == {"colour": {"enum": ["red"]}}


def test_a_changed_document_is_another_version(tmp_path: Path) -> None:
    before = load(tmp_path, OPENAPI).version
    assert load(tmp_path, OPENAPI, SHOP.replace("Order a shirt", "Order a hat")).version != before


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        (PLAIN.replace("    url: http://shop:9/orders/{colour}\n", ""), "tools.yaml:2: tools[0].url: missing, and needed: one of `url`, `openapi`, `python`"),
        (PLAIN + "    openapi: shop.yaml#orderShirt\n", "tools.yaml:8: tools[0].openapi: this tool has `url` already; a tool is of one kind"),
        (PLAIN + "    mcp: crm/find\n", "tools.yaml:8: tools[0].mcp: the tools of an MCP server stand under `mcp_servers` in agent.yaml"),
        (PLAIN + "    sayfailed: No.\n", "tools.yaml:8: tools[0].sayfailed: unknown key; did you mean 'say_failed'?"),
        (PLAIN + "    result: {item: 3}\n", "tools.yaml:8: tools[0].result.item: unknown key; did you mean 'items'?"),
        (PLAIN + "    result:\n      items: 0\n", "tools.yaml:9: tools[0].result.items: input should be greater than or equal to 1, not 0"),
        (PLAIN + "    bulkhead: {at_once: 0}\n", "tools.yaml:8: tools[0].bulkhead.at_once: input should be greater than or equal to 1"),
        (PLAIN + "    retries: 9\n", "tools.yaml:8: tools[0].retries: input should be less than or equal to 5, not 9"),
        (PLAIN + "    parallel: often\n", "tools.yaml:8: tools[0].parallel: input should be a valid boolean"),
        (PLAIN + "    say_while: [3]\n", "tools.yaml:8: tools[0].say_while[0]: input should be a valid string, not 3"),
        (PLAIN + "    headers: 3\n", "tools.yaml:8: tools[0].headers: expected `Name: value` lines"),
        (PLAIN + "    headers:\n      X-Key: 3\n", "tools.yaml:9: tools[0].headers.X-Key: expected text in one line"),
        (PLAIN + "    headers:\n      X Key: a\n", "tools.yaml:9: tools[0].headers.X Key: not the name of a header"),
        (PLAIN + "    headers:\n      Host: a\n", "tools.yaml:9: tools[0].headers.Host: this header is set by Tandem itself"),
        (PLAIN.replace("method: POST", "method: SHOUT"), "tools.yaml:4: tools[0].method: input should be 'GET', 'POST'"),
        (PLAIN.replace("type: string", "$ref: 'colour.json'"), "tools.yaml:7: tools[0].parameters: refers to 'colour.json', outside of itself"),
        (PLAIN.replace("http:", "ftp:"), "tools.yaml:5: tools[0].url: string should match"),
        ("tools: [3]\n", "tools.yaml:1: tools[0]: expected a tool"),
        ("tools: 3\n", "tools.yaml:1: tools: input should be a valid list"),
        (OPENAPI.replace("orderShirt", "orderShirts"), "tools.yaml:3: tools[0].openapi.operation: the document has no operation 'orderShirts'; did you mean 'orderShirt'?"),
        (OPENAPI.replace("{document: shop.yaml, operation: orderShirt}", "shop.yaml#order"), "tools.yaml:3: tools[0].openapi: the document has no operation 'order'"),
        (OPENAPI.replace("{document: shop.yaml, operation: orderShirt}", "shop.yaml"), "tools.yaml:3: tools[0].openapi.operation: string should have at least 1 character"),
        (OPENAPI.replace("shop.yaml", "store.yaml"), "tools.yaml:3: tools[0].openapi.document: the file store.yaml does not exist"),
        (OPENAPI.replace("shop.yaml", "../shop.yaml"), "tools.yaml:3: tools[0].openapi.document: expected a file inside the agent folder"),
        (OPENAPI.replace("orderShirt}", "orderShirt, sever: x}"), "tools.yaml:3: tools[0].openapi.sever: unknown key; did you mean 'server'?"),
        (OPENAPI.replace("orderShirt}", "orderShirt, server: shop}"), "tools.yaml:3: tools[0].openapi.server: string should match"),
        (OPENAPI + "    method: GET\n", "tools.yaml:5: tools[0].method: unknown key"),
        (OPENAPI + "    parameters:\n      type: object\n      properties:\n        colour: {}\n        pattern: {}\n", "tools.yaml:9: tools[0].parameters.properties.pattern: the operation has no parameter 'pattern'; known: colour, size, name"),
        (OPENAPI + "    parameters: {type: object, properties: {size: {}}}\n", "tools.yaml:5: tools[0].parameters: the operation needs colour too"),
    ],
)  # fmt: skip
def test_a_mistake_in_tools_yaml(tmp_path: Path, tools: str, expected: str) -> None:
    told = mistakes(tmp_path, tools)
    assert any(one.startswith(expected) for one in told), told
    assert "s3cret" not in str(told)


@pytest.mark.parametrize(
    ("shop", "expected"),
    [
        (SHOP.replace('servers: [{url: "http://shop:9/v1"}]\n', ""), "tools.yaml:3: tools[0].openapi: the document names no server; give `openapi.server`"),
        (SHOP.replace("http://shop:9", ""), "tools.yaml:3: tools[0].openapi: the document's server '/v1' is not a whole address"),
        (SHOP.replace("3.1.0", "2.0"), "shop.yaml:1: openapi: expected `openapi: 3.0.x` or `3.1.x`, not '2.0'"),
        (SHOP.replace("application/json", "text/xml").replace("      requestBody:\n", "      requestBody:\n        required: true\n"), "shop.yaml:18: paths./orders/{colour}.post.requestBody.content: only a JSON body is supported"),
        (SHOP.replace("{type: integer}", "{$ref: '#/components/schemas/Size'}"), "shop.yaml:15: paths./orders/{colour}.post.parameters[1].schema.$ref: there is nothing at '#/components/schemas/Size'"),
        (SHOP + "   - x\n", "shop.yaml:20: not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_document(tmp_path: Path, shop: str, expected: str) -> None:
    told = mistakes(tmp_path, OPENAPI, shop)
    assert any(one.startswith(expected) for one in told), told


def test_a_mistake_in_a_document_of_two_tools_is_told_once(tmp_path: Path) -> None:
    both = OPENAPI + "  - {name: see, openapi: shop.yaml#seeOrders}\n"
    assert len(mistakes(tmp_path, both, "openapi: 2.0\n")) == 1
