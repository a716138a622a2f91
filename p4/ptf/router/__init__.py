"""What the behaviours are written with: a router under test, its controller, and frames."""
