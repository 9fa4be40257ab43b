"""Bybit v5 on the wire: REST, WebSocket links, payloads, validation and the admin port."""
