"""Line numbers in YAML files, for error messages."""

from __future__ import annotations

from collections.abc import Sequence

import yaml


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
