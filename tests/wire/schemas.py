"""The vendor's own schemas, with the few places where the vendor's own bodies break them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

Schema = dict[str, Any]


def _or_empty(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "string", "enum": [""]}]}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "nullable": True}


def mleg_empty_strings(document: Schema) -> None:
    """A parent of several legs has "" for what belongs to one instrument; its legs have "" as type."""
    order = document["components"]["schemas"]["Order"]["properties"]
    for name in ("asset_class", "asset_id", "symbol", "side", "type"):
        order[name] = _or_empty(order[name])
    leg = document["components"]["schemas"]["OrderLeg"]["properties"]
    leg["type"] = _or_empty(leg["type"])


def contract_without_close_or_interest(document: Schema) -> None:
    """Closing price and open interest of a contract, with their dates, may be null."""
    contract = document["components"]["schemas"]["OptionContract"]["properties"]
    for name in ("close_price", "close_price_date", "open_interest", "open_interest_date"):
        contract[name] = _nullable(contract[name])


def refusal_in_close_all(document: Schema) -> None:
    """DELETE /v2/positions tells what was refused with an error object where the schema has an order."""
    closed = document["components"]["schemas"]["PositionClosedReponse"]["properties"]
    error = {"type": "object", "required": ["code", "message"], "properties": {"code": {"type": "integer"}}}
    closed["body"] = {"anyOf": [closed["body"], error]}


def activity_of_either_kind(document: Schema) -> None:
    """A fill fits the schema of a booking too, since nothing is required: one of two is at least one."""
    operation = document["paths"]["/v2/account/activities/{activity_type}"]["get"]
    rows = operation["responses"]["200"]["content"]["application/json"]["schema"]["items"]
    rows["anyOf"] = rows.pop("oneOf")


PATCHES: tuple[Callable[[Schema], None], ...] = (
    mleg_empty_strings,
    contract_without_close_or_interest,
    refusal_in_close_all,
    activity_of_either_kind,
)


class Contract:
    """The vendor's documents, patched or as they are, and what they say of an answer."""

    def __init__(self, folder: Path, patches: tuple[Callable[[Schema], None], ...] = PATCHES) -> None:
        trading = _read(folder / "alpaca-trading-api.json")
        for patch in patches:
            patch(trading)
        self._documents = {
            "urn:trading": trading,
            "urn:data": _read(folder / "alpaca-market-data-api.json"),
        }
        resources = ((name, DRAFT4.create_resource(doc)) for name, doc in self._documents.items())
        self._registry: Registry[Any] = Registry().with_resources(resources)

    def operations(self) -> frozenset[tuple[str, str]]:
        """Every method and path the vendor documents, names of path parameters left out."""
        return frozenset(
            (method.upper(), nameless(path))
            for document in self._documents.values()
            for path, item in document["paths"].items()
            for method in item
        )

    def complaints(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What the schema of this operation's answer finds wrong with ``body``; empty when nothing."""
        where = self._pointer(method, path, status)
        validator = OAS30Validator(
            {"$ref": where}, registry=self._registry, format_checker=oas30_format_checker
        )
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(body)]

    def has_schema(self, method: str, path: str, status: int) -> bool:
        """Whether the vendor describes the body of this status at all."""
        _, operation = self._operation(method, path)
        return bool(operation["responses"].get(str(status), {}).get("content"))

    def documents_status(self, method: str, path: str, status: int) -> bool:
        return str(status) in self._operation(method, path)[1]["responses"]

    def _operation(self, method: str, path: str) -> tuple[str, Schema]:
        for name, document in self._documents.items():
            for template, item in document["paths"].items():
                if nameless(template) == nameless(path) and method.lower() in item:
                    escaped = template.replace("~", "~0").replace("/", "~1")
                    return f"{name}#/paths/{escaped}/{method.lower()}", item[method.lower()]
        raise LookupError(f"the vendor documents no {method} {path}")

    def _pointer(self, method: str, path: str, status: int) -> str:
        pointer, _ = self._operation(method, path)
        return quote(f"{pointer}/responses/{status}/content/application~1json/schema", safe="/#:~")


def nameless(path: str) -> str:
    """``/v2/orders/{order_id}`` as ``/v2/orders/{}``."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _read(path: Path) -> Schema:
    found: Schema = json.loads(path.read_text())
    return found
