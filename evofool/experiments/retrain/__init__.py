"""``kind: retrain``: evolve, add what fools as a class of its own, retrain, evolve anew.

Nguyen, Yosinski, Clune (CVPR 2015, section 3.5).
"""
