"""YAML files, and line numbers in them for error messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


class YamlError(Exception):
    """The file cannot be read; the message has file, line and reason."""


def read_yaml(file: Path) -> Any:
    """Return the content of a file; raise YamlError if it cannot be read."""
    try:
        return yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise YamlError(f"{file} cannot be read: {reason}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "not YAML"
        raise YamlError(f"{file}{line}: {reason}.") from None


def line_of(root: yaml.Node | None, location: Sequence[int | str]) -> int:
    """Return the line, from 1, of a place in the document, or of its innermost existing part.

    Args:
        root: The result of ``yaml.compose``.
        location: Keys and indexes, as in the ``loc`` of a pydantic error.
    """
    node, line = root, root.start_mark.line + 1 if root else 1
    for key in location:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == key]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line
