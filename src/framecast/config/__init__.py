"""The typed, closed config and the documents generated from it."""
