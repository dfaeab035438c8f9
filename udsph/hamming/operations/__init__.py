"""What people do with codes beside searching: pairs and groups, similar sets, rescoring (``docs/operations.md``)."""
