"""The checks: ``common`` to all components, and a file or two for each kind."""
