"""Market data and the orders that answer it pass the engine's queues by; all else waits there."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from live_nodes.node.at_once import handle_at_once


class Node:
    """Engines and bus of a node whose strategy answers data by the orders of `answers`."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.done: list[str] = []
        self.errors: list[str] = []
        self.waiting_data: list[str] = []
        self.waiting_orders: list[str] = []
        failed = {
            "_handle_queue_exception": lambda error, name: self.errors.append(f"{name} {error}")
        }
        data = SimpleNamespace(
            process=self.waiting_data.append, _handle_data=lambda item: self.on_data(item), **failed
        )
        self.risk = SimpleNamespace(
            execute=self.waiting_orders.append, _execute_command=self._handle, **failed
        )
        bus = SimpleNamespace(
            deregister=lambda endpoint, handler: None,
            register=lambda endpoint, handler: setattr(self, endpoint.partition(".")[2], handler),
        )
        handle_at_once(SimpleNamespace(data_engine=data, risk_engine=self.risk, msgbus=bus))

    process: Any
    execute: Any

    def on_data(self, name: str) -> None:
        self._handle(name)
        for order in self.answers.get(name, ()):
            (self.process if order == "bar" else self.execute)(order)

    def _handle(self, name: str) -> None:
        if name == "broken":
            raise ValueError(name)
        if name == "exits":
            sys.exit(name)
        self.done.append(name)


@pytest.fixture
def node() -> Node:
    return Node()


def test_the_answer_to_a_book_is_checked_before_the_next_turn_of_the_loop(node: Node) -> None:
    node.answers = {"book": ["buy", "sell"]}
    node.process("book")
    assert node.done == ["book", "buy", "sell"]


def test_an_order_that_answers_no_data_waits_and_those_after_it_wait_behind_it(node: Node) -> None:
    node.execute("on a fill")
    node.answers = {"book": ["buy"]}
    node.process("book")
    assert (node.done, node.waiting_orders) == (["book"], ["on a fill", "buy"])
    for order in node.waiting_orders:
        node.risk._execute_command(order)
    node.process("book")
    assert node.done[1:] == ["on a fill", "buy", "book", "buy"]


def test_data_of_another_thread_and_data_that_data_bring_wait(node: Node) -> None:
    thread = threading.Thread(target=node.process, args=("mark",))
    thread.start()
    thread.join()
    node.answers = {"book": ["bar"]}
    node.process("book")
    assert (node.done, node.waiting_data) == (["book"], ["mark", "bar"])


def test_an_order_of_another_thread_waits_also_while_data_are_handled(node: Node) -> None:
    """A timer that is not set on the loop calls a strategy from the clock's thread."""

    def on_data(name: str) -> None:
        thread = threading.Thread(target=node.execute, args=("timed",))
        thread.start()
        thread.join()

    node.on_data = on_data
    node.process("book")
    assert (node.done, node.waiting_orders) == ([], ["timed"])


def test_code_that_ends_the_process_is_an_error_too(node: Node) -> None:
    node.answers = {"book": ["exits"]}
    for name in ("exits", "book"):
        node.process(name)
    (first, second), place = node.errors, "code of a component ends the process, by SystemExit("
    assert first.startswith(f"Data {place}")
    assert second.startswith(f"command {place}")


def test_an_error_is_reported_as_from_the_queue_and_what_follows_is_handled(node: Node) -> None:
    node.answers = {"book": ["broken", "buy"]}
    for name in ("broken", "book"):
        node.process(name)
    assert (node.errors, node.done) == (["Data broken", "command broken"], ["book", "buy"])
