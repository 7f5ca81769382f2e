"""The status room: answers whether a certificate of ours is alive (RFC 6960), and asks other responders the same."""
