"""Who may enter, and how passwords are kept."""
