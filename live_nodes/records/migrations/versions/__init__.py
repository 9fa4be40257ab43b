"""The versions of the mirror's tables."""
