"""Pictures of what a model retrieves. Needs matplotlib: ``pip install 'udsph[report]'``."""
