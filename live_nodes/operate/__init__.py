"""Commands of an operator on a node: live, status, doctor, flatten, release.

May import everything in live_nodes but the drill and the practice exchange. A new command is a
function in `commands`, which imports what it needs inside.
"""
