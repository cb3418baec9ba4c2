"""Where victims come from: each module makes one kind of ``classifier:`` spec a victim."""
