"""Serving: a page and an API on which a trained model's index is searched.

The order of reading: ``state`` (what is known and answered, without HTTP), ``follow`` (the newest view of an index),
``catalog`` (what is known of its items), ``pictures``; then ``app`` (HTTP), ``guard`` (who may ask, and how much),
``work`` and ``limits``, ``server`` (socket and signals), ``description`` (the API as a page). The page itself lies in
``page/``: HTML, CSS and JavaScript as they are sent. ``docs/serve.md`` is for those who run a server.
"""
