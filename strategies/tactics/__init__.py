"""How an order reaches the market, as pure state machines (maker-first and brackets: issue B)."""
