"""The roof: settings, wiring, store, web application and command line."""
