"""A trained run on one's own files."""
