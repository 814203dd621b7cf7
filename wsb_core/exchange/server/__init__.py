"""The practice exchange over HTTP and WebSocket, in the vendors' wire formats."""
