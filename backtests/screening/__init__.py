"""Screen strategies on whole panels without the engine: thousands of candidates in seconds.

May import strategies and catalog.
"""
