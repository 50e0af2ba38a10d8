"""What the exchange's protocol says, without I/O: time is an argument, bytes go in and come out."""
