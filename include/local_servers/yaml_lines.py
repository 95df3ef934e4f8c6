"""In which line of a YAML file something stands, for messages about mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import yaml


def line_of(root: yaml.Node | None, location: Sequence[int | str]) -> int:
    """The line, from 1, of a place in the document, or of its innermost part that is there.

    Args:
        root: what ``yaml.compose`` makes of the file.
        location: keys and indexes, as pydantic names the place of an error.
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
