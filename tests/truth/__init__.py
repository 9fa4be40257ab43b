"""Published reference tables, typed in with their sources."""
