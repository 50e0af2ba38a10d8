"""What gives the exchange its connections: streams, handshakes, frames, and the faults that strike them."""
