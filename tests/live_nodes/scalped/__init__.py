"""Scalpers on the practice exchange: faults of their links, orders and books."""
