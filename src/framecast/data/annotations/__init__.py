"""One module a source of labels: what its files say of the indexed videos."""
