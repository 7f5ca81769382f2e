"""The clerk console: pages over the office's routes, for a browser with a clerk's client certificate.

A page asks what the API's table of routes tells (`enroll.console.window`), so rights and audit are the API's; it
keeps nothing but who sits where (`enroll.console.session`).
"""
