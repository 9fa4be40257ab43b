"""The exchange itself: requests and market data in, events out; no clock and no network.

From the bottom: ``model`` and ``records`` (plain data), ``refusals``, ``book``, ``accounts``,
``margins``, ``state``, ``order_checks``, ``stops``, ``matching``, ``orders`` and ``positions``,
``exchange`` (what others call). ``store`` alone touches the disk. It imports no other room of the
practice exchange. A new refusal is a line of ``refusals``.
"""
