"""Reports of live trading."""
