"""Tables of journals of version 3, each row with the name of its journal, NAME.ENVIRONMENT."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSON

revision, down_revision = "journals", None

_KINDS = {"": sa.Text, "i": sa.BigInteger, "n": sa.Numeric, "j": JSON, "b": BYTEA}
_ROW = "id!i run:i ts:i"
_ORDER = (
    "strategy instrument side quantity:n price:n? trigger_price:n? order_type reduce_only:i "
    "is_exit:i reason decision_id reference_price:n?"
)
TABLES = {
    "runs": "id!i started:i ended:i? pid:i node environment document dry_run:i phase note",
    "intents": f"{_ROW} operation client_order_id {_ORDER} time_in_force post_only:i refused?",
    "orders": f"client_order_id! venue_order_id run:i created:i changed:i filled:n {_ORDER} "
    "status final:i",
    "order_events": f"{_ROW} client_order_id event detail",
    "fills": f"{_ROW} instrument execution_id client_order_id venue_order_id strategy decision_id "
    "side quantity:n price:n reference_price:n? fee:n fee_coin liquidity kind source",
    "explained": "instrument! quantity:n changed:i",
    "positions": "instrument! owner! changed:i quantity:n entry_price:n realized:n",
    "position_snapshots": f"{_ROW} instrument owner quantity:n entry_price:n realized:n",
    "equity": f"{_ROW} equity:n balance:n gross:n net:n",
    "decisions": f"{_ROW} strategy data_ts:i kind payload:j decision_id",
    "verdicts": f"{_ROW} guard scope action:i payload:j",
    "standing": "guard! scope! since:i payload:j",
    "state": "owner! name! changed:i value:b",
    "gates": f"{_ROW} name passed:i detail",
    "links": "name! state since:i changed:i detail",
    "counters": "name! value:i changed:i",
    "notes": f"{_ROW} kind text",
}
"""Columns: ``!`` of the key, ``?`` may be empty; bigint, numeric, json, bytea, else text."""


def upgrade() -> None:
    """Make the tables."""
    for table, words in TABLES.items():
        op.create_table(
            table,
            sa.Column("journal", sa.Text, primary_key=True),
            *map(_column, words.split()),
            schema="perpdesk",
        )


def _column(word: str) -> sa.Column[object]:
    bare = word.rstrip("?")
    key = "!" in bare
    name, _, kind = bare.replace("!", ":").partition(":")
    return sa.Column(name, _KINDS[kind](), primary_key=key, nullable=word != bare)
