"""What a run of attacks stores, and how it is read again."""
