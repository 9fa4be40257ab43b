"""Deploy what a study found to a node, and undo it.

- ``gates.py`` what the study must have shown, and where it must have lived before mainnet
- ``deploy.py`` write a release, let it run, roll back; ``study.py`` what is read of a study
- ``rules.py`` the first days of a release, small and by the study's Monte Carlo band; what it
  may not drop
- ``commands.py`` `perpdesk deploy`, `rollback`, `releases`; ``listing.py`` releases as a table

The files are in `live_nodes.local.releases`; a running node takes a release up in
`live_nodes.node.take_up`. To add a gate, add a field to ``config/documents/deploy.py`` and a row to
`gates.MEASURES`.
"""
