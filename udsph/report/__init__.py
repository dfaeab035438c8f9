"""Pictures of what a model retrieves, tables and figures of a comparison. Pictures need the extra ``report``."""
