"""What is kept of trading: the journal, its rows, the exact ledger, and whose an order is.

May import strategies (messages) and config; no guard and no gate. Another process reads the journal
by `journal_reading` alone.
"""
