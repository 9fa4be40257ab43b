"""Records beside a running node: audit chain, PostgreSQL mirror, backup and restore.

Nothing here runs in the node's process: it starts a follower (`follower`) that reads its journal.
"""
