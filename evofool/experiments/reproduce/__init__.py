"""The literature as a test suite: claims and published figures beside what is measured."""
