"""Signs, logos and boards that nets read as a sign of an attacker's choice, from the street."""
