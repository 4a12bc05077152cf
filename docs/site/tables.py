"""Tables of the reference: keys of configurations, columns, commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import typer
from pydantic import BaseModel
from sqlalchemy import Table

from snellen.cli.app import app
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.predict import PredictConfig
from snellen.serve.config import ServeConfig
from snellen.store.parquet.schema import MANIFEST_SCHEMA, RESULT_SCHEMA
from snellen.store.sql.models import Base

CONFIGURATIONS: dict[str, type[BaseModel]] = {
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "serve": ServeConfig,
}
Schema = dict[str, Any]
_LIMITS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
}


def configuration_page(name: str) -> str:
    """Return the reference of the keys of one configuration, from its pydantic model."""
    schema = CONFIGURATIONS[name].model_json_schema()
    command = {"evaluate": "eval"}.get(name, name)
    lines = [
        f"# Keys of `snellen {command}`",
        "",
        f"*Reference, generated from the configuration of `snellen {command}`.* "
        f"`snellen schema {command}` prints the JSON Schema.",
        "",
        *_header("key", "type", "default", "meaning"),
        *(_row(*row) for row in keys(schema)),
    ]
    return "\n".join(lines) + "\n"


def keys(schema: Schema) -> Iterator[tuple[str, str, str, str]]:
    """Yield the key, the type, the default and the description of each key of a JSON Schema."""
    yield from _properties(schema, schema.get("$defs", {}), "")


def _properties(
    schema: Schema, definitions: Schema, prefix: str
) -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        inner = _section(value, definitions)
        if inner is not None:
            yield from _properties(inner, definitions, f"{prefix}{name}.")
            continue
        default = "**required**" if name in required else _code(value.get("default"))
        yield f"`{prefix}{name}`", _type(value, definitions), default, value.get("description", "")


def _section(value: Schema, definitions: Schema) -> Schema | None:
    """Return the object that a key holds, unless it is a list or a choice."""
    name = value.get("$ref", "").rpartition("/")[2]
    found: Schema | None = definitions.get(name)
    return found if found is not None and "properties" in found else None


def _type(value: Schema, definitions: Schema) -> str:
    """Return the type of a key in words, with its limits."""
    if "$ref" in value:
        return _type(definitions[value["$ref"].rpartition("/")[2]], definitions)
    choices = value.get("anyOf") or value.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(_type(one, definitions) for one in choices))
    if "enum" in value:
        return " or ".join(_code(one) for one in value["enum"])
    if "const" in value:
        return _code(value["const"])
    limits = [f"{sign} {value[key]}" for key, sign in _LIMITS.items() if key in value]
    kind = value.get("type", "any")
    if kind == "array":
        kind = f"list of {_type(value.get('items', {}), definitions)}"
    return " ".join([str(kind), *limits])


def columns_page() -> str:
    """Return the columns of result rows, manifests and run tables, with their types."""
    lines = [
        "# Columns",
        "",
        "*Reference, generated from the schemas.* [Results](../results.md) explains every column.",
        "",
    ]
    for title, schema in (("Result rows", RESULT_SCHEMA), ("Manifest", MANIFEST_SCHEMA)):
        lines += [f"## {title}", "", *_header("column", "Arrow type"), *_arrow(schema), ""]
    for table in Base.metadata.sorted_tables:
        lines += [f"## Table `{table.name}`", "", *_header("column", "SQL type", "null")]
        lines += [*_sql(table), ""]
    return "\n".join(lines)


def _arrow(schema: pa.Schema) -> Iterator[str]:
    for field in schema:
        yield _row(f"`{field.name}`", f"`{field.type}`")


def _sql(table: Table) -> Iterator[str]:
    for column in table.columns:
        yield _row(f"`{column.name}`", f"`{column.type}`", "yes" if column.nullable else "no")


def commands_page() -> str:
    """Return the options of every command."""
    group: Any = typer.main.get_command(app)
    lines = ["# Commands", "", "*Reference, generated from the command line.*", ""]
    for name, command in group.commands.items():
        lines += _command(f"snellen {name}", command)
    return "\n".join(lines)


def _command(name: str, command: Any) -> list[str]:
    if hasattr(command, "commands"):
        inner = [_command(f"{name} {sub}", one) for sub, one in command.commands.items()]
        return [line for lines in inner for line in lines]
    help_text = (command.help or "").replace("\b\n", "").strip()
    lines = [f"## {name}", "", help_text, ""]
    rows = [
        _row(f"`{' '.join(parameter.opts)}`", str(getattr(parameter, "help", None) or ""))
        for parameter in command.params
        if not getattr(parameter, "hidden", False)
    ]
    return [*lines, *_header("argument or option", "meaning"), *rows, ""]


def _header(*names: str) -> list[str]:
    return [_row(*names), _row(*("---" for _ in names))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    return text if text.startswith("`") else text.replace("<", "&lt;")


def _code(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
