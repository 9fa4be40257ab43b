"""Tests of live_nodes."""
