"""Signs in the street: scenes drawn for a camera that drives by, and what a victim reads there.

``plates`` has the signs, ``scene`` the street, ``camera`` where a sign is seen, ``footage`` the
frames, ``drive`` what a victim makes of them, ``lenticular`` signs that change with the angle, and
``shown`` the video, the stills and the tables.
"""
