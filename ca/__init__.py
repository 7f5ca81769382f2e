"""The certificate authorities: what a certificate looks like, and the only door through which one comes to life."""
