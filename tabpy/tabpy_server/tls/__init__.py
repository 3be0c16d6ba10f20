"""https of the server's own: its certificate, and the handshakes made with it."""
