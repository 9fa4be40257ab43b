"""What a node has on this machine: folder, keys, addresses, mailbox, heartbeat, alerts.

Imports config alone. The journal itself is in `actors.records`.
"""
