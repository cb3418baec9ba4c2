"""Transformations of pictures: what the world and a camera do between a picture and a net.

The k transforms of a victim are the same for every picture, so a score depends on the picture
alone: on no batch, order, worker or interruption (expectation over transformations: Athalye et al.
2018, 1707.07397; over 32 fixed ones: Sitawarin et al. 2018, 1802.06430).
"""
