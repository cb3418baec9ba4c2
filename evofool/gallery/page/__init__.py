"""The page: its data, its HTML, and where it is written."""
