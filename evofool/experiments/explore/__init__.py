"""``kind: explore``: a closer look at what was evolved against one net."""
