"""Images of 8-bit levels: what a saved picture can hold of a perturbation."""
