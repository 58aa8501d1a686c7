"""Decoding and encoding of video files, folders of pictures that are videos, listings of both."""
