raise ImportError("nobody needs this")
