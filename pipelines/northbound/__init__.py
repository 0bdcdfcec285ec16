"""The vendor's protocol: session, flow control, endpoints, errors."""
