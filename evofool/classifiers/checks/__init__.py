"""Whether a victim behaves as a classifier, and how it is called safely."""
