"""Reading run folders: the pictures that a gallery shows (exhibits) and where they came from."""
