"""The deep methods, one file each; each file lists what it offers in ``METHODS``."""
