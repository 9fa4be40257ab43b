"""Benchmarks of live nodes: ours beside the bare one."""
