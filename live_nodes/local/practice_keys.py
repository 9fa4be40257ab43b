"""Keys of practice accounts: public constants, worth nothing anywhere else."""

from __future__ import annotations


def practice_keys(name: str) -> tuple[str, str]:
    """Return the API key and secret of a practice account.

    Parameters
    ----------
    name : str
        The account's name in the exchange's document.

    Examples
    --------
    >>> practice_keys("main")
    ('practice-main', 'practice-secret-main')
    """
    return f"practice-{name}", f"practice-secret-{name}"
