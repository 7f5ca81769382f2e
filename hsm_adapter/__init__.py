"""Where private keys live: the key providers, and the pyca keys that sign and cannot be exported."""
