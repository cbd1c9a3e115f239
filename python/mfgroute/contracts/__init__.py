"""What a project says about its contracts, and what hangs on each.

``links``      which sources make an event, and which routes and sinks take it
``commit``     a project as it stood in a commit
``changes``    what became of contracts, and whom it concerns
``catalogue``  a page of Markdown about them
``asyncapi``   the contracts as an AsyncAPI 3 document
"""
