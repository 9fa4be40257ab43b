"""Bybit v5 on the wire: REST, WebSocket links, payloads, request bodies and the admin port.

It imports the other rooms. A new REST path is a function in ``market_requests``,
``account_requests`` or ``order_requests`` and a line of its ``HANDLERS``; a new request field is a
line of a table in ``order_bodies``.
"""
