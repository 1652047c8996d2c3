"""``sidecar schema``: the YAML files as JSON Schema, for editors."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from sidecar.cli.report import err, print_json
from sidecar.core.schema.describe import FILES, as_markdown, json_schema


def schema(
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write one file each into this folder.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference page instead.")] = False,
) -> None:
    """Print the JSON Schema of sidecar.yaml, of routes/*.yaml and of states/*.yaml.

    For the YAML language server, begin a file with: # yaml-language-server: $schema=PATH/routes.schema.json
    """
    if markdown:
        typer.echo(as_markdown(), nl=False)
    elif folder is None:
        print_json({kind: json_schema(kind) for kind in FILES})
    else:
        _write(folder)


def _write(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind in FILES:
            path = folder / f"{kind}.schema.json"
            path.write_bytes(orjson.dumps(json_schema(kind), option=orjson.OPT_INDENT_2) + b"\n")
            typer.echo(str(path))
    except OSError as error:
        err().print(f"{error.filename}: cannot be written: {error.strerror}")
        raise typer.Exit(1) from None
