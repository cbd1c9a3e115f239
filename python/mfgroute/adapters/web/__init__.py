"""What all adapters that send HTTP requests share: addresses, TLS, limits of answers. No adapter itself."""
