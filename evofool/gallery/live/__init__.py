"""The live view: a page of a running campaign, served on this machine and kept up to date."""
