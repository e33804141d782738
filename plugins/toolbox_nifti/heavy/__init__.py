"""The half that needs the heavy library."""
