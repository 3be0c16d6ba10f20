"""Arrow Flight: tables that clients put, scripts work on, and clients fetch."""
