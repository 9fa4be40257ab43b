"""A public stream leaves out what the exchange refuses, and comes back after a cut."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec

from live_nodes.bybit.stream_link import StreamLink
from live_nodes.bybit.stream_topics import StreamMessage
from tests.live_nodes.practice.still_market import Practice, on_exchange
from tests.waiting import eventually_async

BTC, WRONG = "orderbook.50.BTCUSDT", "tickers.NONEUSDT"


@on_exchange
async def test_a_refused_topic_is_left_out_and_a_cut_link_returns(running: Practice) -> None:
    found: list[str] = []
    said: list[str] = []
    lost: list[str] = []

    def take(text: bytes) -> StreamMessage | None:
        message = msgspec.json.decode(text, type=StreamMessage)
        found.append(message.topic)
        return None if message.topic else message

    url = f"{running.server.sockets_url}/public/linear"
    link = StreamLink(url, [WRONG, BTC], 5.0, take, lambda _, why: lost.append(why), said.append)
    async with aiohttp.ClientSession() as session:
        task = asyncio.create_task(link.run(session))
        await eventually_async(lambda: BTC in found)
        await eventually_async(lambda: said)
        assert link.topics == [BTC]
        (line,) = said
        assert line.startswith(f"{WRONG} is not recorded: ")
        assert "Invalid symbol" in line
        await link.renew([BTC])
        await eventually_async(lambda: found.count(BTC) == 2, "the new snapshot")
        running.server.sockets.cut_all()
        await eventually_async(lambda: found.count(BTC) == 3, "the snapshot after the cut")
        assert lost == ["connection lost"]
        task.cancel()
