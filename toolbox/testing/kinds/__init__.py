"""The checks, a file for each kind of component; imported when a component of that kind is checked."""
