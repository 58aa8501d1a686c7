"""Tests, in folders as below src/framecast, and the helpers they share."""
