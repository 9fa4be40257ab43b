"""Bybit v5 on the wire: REST, WebSocket links, payloads, request bodies and the admin port.

To add a REST path, add a function to a ``*_requests`` module and a line to its ``HANDLERS``. To add
a request field, add a line to a table in ``order_bodies``.
"""
