"""Records of trading: the journal, its rows, the exact ledger, and owners of orders.

May import strategies (messages) and config, but no guard and no gate. Another process reads the
journal by `journal_reading` alone.
"""
