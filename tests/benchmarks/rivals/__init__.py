"""What evofool is held against, each written for this comparison in the manner of the original."""
