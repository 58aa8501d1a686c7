"""The HTML page: its sections, and the building blocks of a page."""
