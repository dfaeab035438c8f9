"""The layouts in which datasets come: one file each, whose name is the layout's.

A file ends with ``LAYOUT = Layout(load, SETTINGS, SOURCE)`` (:class:`udsph.data.registry.Layout`), and that is all:
:mod:`udsph.data.registry` finds it by its name. What several layouts need are the tools in :mod:`udsph.data`.
"""
