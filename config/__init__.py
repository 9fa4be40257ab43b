"""Documents: read, check and explain a user's YAML files.

Each YAML file becomes a frozen, typed document; every value keeps its file, line and column. All
errors are reported at once, before any engine starts.

Imports no other package of the project. Upper packages add their own checks with
`config.validate.register_check`. A component's config class (at the address in `use`) defines its
parameters; ranges that several share are in `parameter_types`.

To add a key, add a field to its model in `config.documents` with its unit and range, then run
`python -m config.schema`. To add a kind of document, add a model and its line in
`config.documents.KINDS`. To add a check that needs data, call `register_check` in the package with
the data.
"""
