"""The ring library beside uhashring."""
