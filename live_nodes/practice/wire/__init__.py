"""Bybit v5 on the wire: REST, WebSocket links, payloads, request bodies and the admin port.

A new REST path is a line of ``HANDLERS``, a new request field a line of ``exchange.requests``.
"""
