"""A node's files and settings on this machine: keys, addresses, mailbox, heartbeat, alerts.

Imports config only. The journal itself is in `actors.records`.
"""
