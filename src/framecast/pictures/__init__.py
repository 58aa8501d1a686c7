"""Masks and predicted frames as pictures and as files to hand in."""
