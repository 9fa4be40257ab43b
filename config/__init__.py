"""Documents: what a user writes in YAML, read, checked and explained.

This room turns YAML files into frozen, typed documents in which every value knows the file, line
and column that gave it. It says what is wrong in words, all at once, before any engine starts.

It may import no other package of the project: an upper package adds its own checks with
`config.validate.register_check`, and a component's own config class (found by the address in
`use`) says which parameters it takes.

To add a key: add a field to the model in `documents.py`, with its unit and range in the
description, then run `python -m config.schema`. To add a kind of document: add a model and its
line in `documents.KINDS`. To add a check that needs data: `register_check` from the package that
owns the data.
"""
