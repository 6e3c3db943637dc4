"""What a PromQL expression asks for, by the parser of promql-parser."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser

# What Grafana puts in before it asks.
_GRAFANA = {"$__rate_interval": "5m", "$__all": ".*"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """`values` are the alternatives of a regular expression, or the one value of `=` and `!=`."""

    label: str
    values: tuple[str, ...]
    negative: bool
    """What it names is not wanted."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric that is read; `labels` are those that aggregations, joins and matchers around it name."""

    metric: str
    matchers: tuple[Matcher, ...]
    labels: frozenset[str]


def selectors(expr: str) -> list[Selector]:
    """Every metric in an expression. Raises ValueError when it is not PromQL."""
    for variable, value in _GRAFANA.items():
        expr = expr.replace(variable, value)
    return list(_found(promql_parser.parse(expr), frozenset()))


def _found(node: Any, around: frozenset[str]) -> Iterator[Selector]:
    match type(node).__name__:
        case "VectorSelector":
            yield _selector(node, around)
        case "MatrixSelector":
            yield _selector(node.vector_selector, around)
        case "AggregateExpr":
            # What an outer aggregation keeps must be kept by this one; what this one drops is of no concern outside.
            kept = frozenset(node.modifier.labels) if node.modifier else frozenset()
            assert around <= kept, f"{sorted(around - kept)} is asked for outside of {node}, which drops it"
            yield from _found(node.expr, kept)
        case "Call":
            for argument in node.args:
                yield from _found(argument, around | ({"le"} if node.func.name == "histogram_quantile" else set()))
        case "BinaryExpr":
            matching = node.modifier.matching if node.modifier else None
            of_both = frozenset(matching.labels) if matching else frozenset()
            yield from _found(node.lhs, around | of_both)
            yield from _found(node.rhs, of_both)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            yield from _found(node.expr, around)
        case "NumberLiteral" | "StringLiteral":
            return
        case other:
            raise ValueError(f"{other}: not known here")


def _selector(node: Any, around: frozenset[str]) -> Selector:
    matchers = tuple(
        Matcher(one.name, tuple(one.value.split("|")) if "Re" in str(one.op) else (one.value,), "Not" in str(one.op))
        for one in node.matchers.matchers
    )
    return Selector(node.name, matchers, around | {one.label for one in matchers})
