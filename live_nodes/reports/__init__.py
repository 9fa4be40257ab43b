"""Reports of a node's live trading, read from its journal and from the venue's transaction log."""
