"""Rows as JSON text and back, exactly: what the state file keeps."""

from __future__ import annotations

import msgspec

from live_nodes.practice.exchange.model import ROW_TYPES, Row


def row_text(row: Row) -> bytes:
    """Write a row as JSON; decimals become strings with all their digits."""
    return msgspec.json.encode(row)


def row_from_text(table: str, text: bytes | str) -> Row:
    """Read a row of a table back.

    Raises
    ------
    KeyError
        No such table.
    msgspec.ValidationError
        The text is not a row of this table: the state file is of another version, or damaged.
    """
    return msgspec.json.decode(text, type=ROW_TYPES[table])
