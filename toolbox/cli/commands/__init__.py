"""One file a group of commands; each parses, calls, prints."""
