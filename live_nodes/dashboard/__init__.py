"""The dashboard: pages of nodes in a browser, over their journals and files.

`commands` start it > `app` answers requests > `live` (server-sent events), `actions`, `pages` (one
JSON a page) > `books` (profit and curves, folded as the journal grows), `depth` (books of a
recording), `access` (passwords, sessions, tokens) > `sources` (which nodes there are). The pages
themselves are in ``static/``.

It never asks a node's memory, and sends nothing but what `perpdesk risk` sends. Times in its JSON
are milliseconds UTC, money decimal strings.
"""
