"""Pictures of a gallery: sheets, films, graphs, plots, prints."""
