"""What a session is made of: calls in flight, connections, feeds."""
