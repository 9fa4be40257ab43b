"""The scalper of `strategies.scalper`: `decide` is pure, `trader` runs it in the engine."""
