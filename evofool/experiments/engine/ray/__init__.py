"""Works as tasks of Ray: what crosses, what a task does with it, and what the driver stores.

A work crosses as JSON: the config of its experiment and its address. Nets and data sets are found
again by what the config names, in the worker, and are the same if the address is. The results of
works that it stands on travel with it; rows and files come back, and the driver alone stores them.
"""
