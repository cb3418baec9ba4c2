"""``kind: costs``: one net trained under several cost functions, judged alike."""
