"""Market data and the orders that answer it pass the engine's queues by; all else waits there."""

from __future__ import annotations

import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from live_nodes.node.at_once import handle_at_once


class Engine:
    """An engine with one queue, which `drain` handles."""

    process: Any
    execute: Any

    def __init__(self, enqueue: str, handle: str, handler: Any) -> None:
        self.queue: deque[Any] = deque()
        self.errors: list[str] = []
        self._handle = handle
        setattr(self, enqueue, self.queue.append)
        setattr(self, handle, handler)

    def drain(self) -> None:
        while self.queue:
            getattr(self, self._handle)(self.queue.popleft())

    def _handle_queue_exception(self, error: Exception, queue: str) -> None:
        self.errors.append(f"{queue}: {error}")


class Node:
    """Engines and bus of a node whose strategy answers data by the orders of `answers`."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.done: list[str] = []
        self.data = Engine("process", "_handle_data", self._on_data)
        self.risk = Engine("execute", "_execute_command", self._on_order)
        self.handlers = {
            "DataEngine.process": self.data.process,
            "RiskEngine.execute": self.risk.execute,
        }
        bus = SimpleNamespace(
            deregister=lambda endpoint, handler: self.handlers.pop(endpoint),
            register=lambda endpoint, handler: self.handlers.update({endpoint: handler}),
        )
        handle_at_once(SimpleNamespace(data_engine=self.data, risk_engine=self.risk, msgbus=bus))

    def bring(self, name: str) -> None:
        self.handlers["DataEngine.process"](name)

    def send(self, order: str) -> None:
        self.handlers["RiskEngine.execute"](order)

    def _on_data(self, name: str) -> None:
        self.done.append(name)
        for order in self.answers.get(name, ()):
            self.send(order)

    def _on_order(self, order: str) -> None:
        if order == "broken":
            raise ValueError(order)
        self.done.append(order)


@pytest.fixture
def node() -> Node:
    return Node()


def test_the_answer_to_a_book_is_checked_before_the_next_turn_of_the_loop(node: Node) -> None:
    node.answers = {"book": ["buy", "sell"]}
    node.bring("book")
    assert node.done == ["book", "buy", "sell"]


def test_an_order_that_answers_no_data_waits_and_those_after_it_wait_behind_it(node: Node) -> None:
    node.send("on a fill")
    node.answers = {"book": ["buy"]}
    node.bring("book")
    assert node.done == ["book"]
    node.risk.drain()
    assert node.done == ["book", "on a fill", "buy"]
    node.bring("book")
    assert node.done[3:] == ["book", "buy"]


def test_data_of_another_thread_and_data_that_data_bring_wait(node: Node) -> None:
    thread = threading.Thread(target=node.bring, args=("bar",))
    thread.start()
    thread.join()
    node.data._handle_data = lambda name: node.bring(f"{name} again")  # type: ignore[attr-defined]
    node.bring("book")
    assert node.done == []
    assert list(node.data.queue) == ["bar", "book again"]


def test_an_error_is_reported_as_from_the_queue_and_the_next_data_are_handled(node: Node) -> None:
    node.answers = {"book": ["broken", "buy"]}
    node.bring("book")
    node.data._handle_data = lambda name: 1 / 0  # type: ignore[attr-defined]
    node.bring("trade")
    assert node.risk.errors == ["command: broken"]
    assert node.data.errors == ["data: division by zero"]
    assert node.done == ["book", "buy"]
