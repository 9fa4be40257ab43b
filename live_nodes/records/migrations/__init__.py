"""Alembic migrations of the mirror's tables: a file each in ``versions``, never changed later."""
