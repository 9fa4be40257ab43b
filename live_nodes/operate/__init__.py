"""What an operator asks of a node: live, status, doctor, flatten, release.

May import everything in live_nodes but the drill and the practice exchange. A new command is a
function here, registered in `live_nodes.commands`.
"""
