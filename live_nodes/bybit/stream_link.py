"""A WebSocket of Bybit's public stream: subscribes, pings, and connects again when it is lost.

https://bybit-exchange.github.io/docs/v5/ws/connect: ten topics a request (spot), 21,000 characters
of topics a connection, a ping every 20 s.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence

import aiohttp

from live_nodes.bybit.stream_topics import StreamMessage

PING_EVERY_S = 20.0
TOPICS_A_REQUEST = 10
MOST_CHARACTERS = 20_000
MOST_BYTES = 1 << 24
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0


def shared_out(topics: Iterable[str]) -> Iterator[list[str]]:
    """Cut topics into lists that one connection each may subscribe to."""
    found: list[str] = []
    length = 0
    for topic in topics:
        length += len(topic) + 3
        if found and length > MOST_CHARACTERS:
            yield found
            found, length = [], len(topic) + 3
        found.append(topic)
    if found:
        yield found


class StreamLink:
    """One connection and its topics.

    `take` gets each message as it comes, and returns it if it is an answer to a request; `lost` is
    called with the reason after each connection; `say` prints a line. After `silence` seconds
    without anything received the connection counts as lost.
    """

    def __init__(
        self,
        url: str,
        topics: Sequence[str],
        silence: float,
        take: Callable[[bytes], StreamMessage | None],
        lost: Callable[[StreamLink, str], None],
        say: Callable[[str], None],
    ) -> None:
        self.url, self.topics = url, list(topics)
        # The client waits half a heartbeat for the answer to one.
        self._heartbeat = silence / 1.5
        self._take, self._lost, self._say = take, lost, say
        self._socket: aiohttp.ClientWebSocketResponse[bool] | None = None
        self._asked: dict[str, list[str]] = {}
        self._numbers = itertools.count(1)

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Receive until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with session.ws_connect(
                    self.url, heartbeat=self._heartbeat, max_msg_size=MOST_BYTES, decode_text=False
                ) as socket:
                    self._socket = socket
                    await self._ask("subscribe", self.topics)
                    async for message in socket:
                        if message.type is not aiohttp.WSMsgType.TEXT:
                            break
                        answer = self._take(message.data)
                        if answer is not None:
                            await self._answered(answer)
                        pause = FIRST_PAUSE_S
                why = "connection lost"
            except (aiohttp.ClientError, OSError) as error:
                why = f"no connection ({error or type(error).__name__})"
            self._socket = None
            self._lost(self, why)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def ping(self) -> None:
        """Keep the connection alive."""
        await self._send({"op": "ping"})

    async def renew(self, topics: Iterable[str]) -> None:
        """Subscribe to some topics again, for their snapshots."""
        known = set(self.topics)
        wanted = [topic for topic in topics if topic in known]
        await self._ask("unsubscribe", wanted)
        await self._ask("subscribe", wanted)

    async def _answered(self, answer: StreamMessage) -> None:
        # One wrong topic has all of a request refused.
        topics = self._asked.pop(answer.req_id, [])
        if answer.success or answer.op != "subscribe":
            return
        if len(topics) > 1:
            for topic in topics:
                await self._ask("subscribe", [topic])
        for topic in topics if len(topics) == 1 else ():
            self.topics.remove(topic)
            self._say(f"{topic} is not recorded: {self.url} refuses it: {answer.ret_msg}")

    async def _ask(self, op: str, topics: Iterable[str]) -> None:
        for batch in itertools.batched(topics, TOPICS_A_REQUEST):
            number = str(next(self._numbers))
            self._asked[number] = list(batch)
            await self._send({"req_id": number, "op": op, "args": batch})

    async def _send(self, request: dict[str, object]) -> None:
        if self._socket is None:
            return
        try:
            await self._socket.send_str(json.dumps(request))
        except ConnectionResetError:
            # `run` connects again, and subscribes to all.
            self._socket = None
