"""The leak audit."""

FILE_NAME = "audit.json"
PAGE_NAME = "audit.html"
