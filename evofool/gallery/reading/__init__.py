"""From run folders to exhibits: what a gallery shows and where it came from."""
